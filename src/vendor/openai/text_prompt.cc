#include "vendor/openai/text_prompt.h"

#include <fmt/format.h>

#include <string_view>
#include <vector>

#include "base/limits.h"

namespace reprise {
namespace json = boost::json;
namespace {

std::vector<TokenId> ReadTokens(FieldReader& fields, const char* name, const json::array& list,
                                int vocabulary) {
  std::vector<TokenId> tokens;
  tokens.reserve(list.size());
  for (const json::value& value : list) {
    const auto token = ToInteger(value);
    if (!token || *token < 0 || *token >= vocabulary) {
      fields.Refuse(ErrorCode::kInvalidArgument, name,
                    fmt::format("A prompt of tokens holds integers from 0 to {}.", vocabulary - 1));
      return {};
    }
    tokens.push_back(static_cast<TokenId>(*token));
  }
  return tokens;
}

// Control tokens spelled in a prompt of plain text are parsed: this endpoint is the one without a
// template, so the text is the client's own template.
std::vector<TokenId> EncodeText(std::string_view text, const Tokenizer& tokenizer,
                                std::string_view tenant) {
  return tokenizer.Encode(text, {.add_special = true, .parse_special = true, .tenant = tenant});
}

void AddText(std::string_view text, const ServedModel& model, Call& call) {
  if (const size_t least = LeastTokensBeyond(text, model); least > 0) {
    call.least_tokens.push_back(least);
    call.prompts.emplace_back();
  } else {
    call.prompts.push_back(EncodeText(text, *model.tokenizer, call.tenant));
  }
}

void ReadOne(FieldReader& fields, const char* name, const json::value& value,
             const ServedModel& model, Call& call) {
  if (value.is_string()) {
    AddText(value.get_string(), model, call);
  } else if (value.is_array()) {
    call.prompts.push_back(ReadTokens(fields, name, value.get_array(), model.vocabulary));
  } else {
    fields.Refuse(ErrorCode::kInvalidArgument, name,
                  fmt::format("'{}' must be a string, an array of strings, an array of tokens "
                              "or an array of those, not {}.",
                              name, KindName(value)));
  }
}

}  // namespace

void ReadTextPrompts(FieldReader& fields, const char* name, size_t most, const ServedModel& model,
                     Call& call) {
  const json::value* prompt = fields.Find(name);
  if (prompt == nullptr) {
    fields.Refuse(ErrorCode::kInvalidArgument, name, fmt::format("'{}' is missing.", name));
    return;
  }
  const json::array* list = prompt->if_array();
  const bool many =
      list != nullptr && !list->empty() && (list->front().is_string() || list->front().is_array());
  if (!many) return ReadOne(fields, name, *prompt, model, call);
  if (list->size() * static_cast<size_t>(call.parameters.choices) > most) {
    fields.Refuse(ErrorCode::kInvalidArgument, name,
                  fmt::format("'{}' times 'n' may be {} at most.", name, most));
    return;
  }
  for (const json::value& entry : *list) ReadOne(fields, name, entry, model, call);
}

}  // namespace reprise
