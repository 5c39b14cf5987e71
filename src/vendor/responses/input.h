#pragma once

// `instructions`, `input` and `tools` of a request for a response, as the messages and tools of a
// chat completion, which are read as such (openai/conversation.h). Free functions; any thread.

#include <boost/json.hpp>
#include <string>

#include "vendor/json_reader.h"

namespace reprise {

// `input` as items: a string is one message of the user's.
boost::json::array ItemsOfInput(FieldReader& fields);
// Messages of these items, behind the instructions. Faults name the item ("input[3].content");
// `first` is the index of the first that the client sent now.
boost::json::array MessagesOfItems(FieldReader& fields, const boost::json::array& items,
                                   size_t first);
// Function tools; those that only the vendor runs and clients always send are left out, named in
// `ignored`; others are refused.
boost::json::array ChatTools(FieldReader& fields, std::string& ignored);

}  // namespace reprise
