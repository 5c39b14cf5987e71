#pragma once

// Grammars (text/grammar.h, Lark) of replies that call tools, in a family's own writing, or are
// JSON of a schema: so that a client that wants a call gets one from the smallest model. Pure; any
// thread.

#include <boost/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "dialect/dialect.h"
#include "dialect/tool_set.h"
#include "text/tokenizer.h"

namespace reprise {

// What a reply may be: calls of these tools, or JSON of this schema; one of both at least.
struct ReplyForm {
  std::vector<Tool> tools = {};
  bool parallel = true;                            // more than one call
  std::optional<boost::json::object> schema = {};  // guided already (GuidedSchema)
  bool in_thinking = false;  // it begins inside of thinking, which ends before
};
std::string ReplyGrammar(const Dialect& dialect, const ReplyForm& form, const Tokenizer& tokenizer);

// The schema with what we ask of its grammar: JSON in one line and spaced as json.dumps does it, so
// that most of what stands between the values is certain; and no properties beyond those named,
// where the schema does not say. Unless `strict`, keywords that are not
// supported are left out of account. A `format` that nobody knows only annotates (JSON Schema
// 2020-12, Validation, 7.2).
boost::json::object GuidedSchema(const boost::json::object& schema, bool strict);

}  // namespace reprise
