#pragma once

// Where in a schema the fault lies that keeps it from being compiled. Pure; any thread.

#include <boost/json.hpp>
#include <string>

#include "text/grammar.h"

namespace reprise {

// The path of the smallest part that cannot be compiled by itself either, "properties.a.items";
// empty: it is the whole. Gives up looking after a second. REQUIRES: the whole cannot be
// compiled.
std::string PlaceOfFault(const boost::json::object& schema, const GrammarCompiler& compiler);

}  // namespace reprise
