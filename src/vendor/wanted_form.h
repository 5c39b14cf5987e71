#pragma once

// What a client wants its reply to be: a call of a tool, JSON of a schema, a sentence of a grammar.
// The same for every vendor; each reads it in its own words. No part of the cache's key. Values;
// any thread.

#include <boost/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "prompt/conversation.h"
#include "text/grammar.h"
#include "vendor/call.h"
#include "vendor/json_reader.h"
#include "vendor/served_model.h"

namespace reprise {

struct WantedForm {
  enum class Calls : uint8_t {
    kAuto,    // as the model likes
    kNone,    // whatever looks like one is text
    kForced,  // one or more
  };
  Calls calls = Calls::kAuto;
  std::vector<std::string> allowed = {};  // tools that may be called; empty: all
  // Several calls. Where they are forced, only if the client said so: small models would go on.
  std::optional<bool> parallel = {};
  const char* choice_field = "tool_choice";

  struct Schema {
    boost::json::object schema;
    bool strict = false;
    std::string field;  // for faults
  };
  std::optional<Schema> schema = {};
  struct Source {
    GrammarSource source;
    std::string field;
  };
  std::optional<Source> grammar = {};

  std::optional<int> thinking_tokens = {};  // at most
};

// Sees to it that the reply is such, and is read so. REQUIRES: the call has its one prompt.
// kInvalidArgument with the field: the form cannot be compiled, names a tool that is not there, or
// wants two things at once.
Status ApplyForm(WantedForm wanted, const boost::json::array& tools, const ServedModel& model,
                 Call& call);
// The same for a prompt of plain text, which knows no tools.
Status ApplyGrammar(const WantedForm& wanted, const ServedModel& model, Call& call);

// Fields that other servers have for it: grammar (Lark, or llama.cpp's GBNF), regex, json_schema,
// guided_json, guided_regex, guided_grammar, guided_choice. Faults stay in `fields`.
void ReadGrammarFields(FieldReader& fields, WantedForm& wanted);

}  // namespace reprise
