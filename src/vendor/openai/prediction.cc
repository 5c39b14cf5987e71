#include "vendor/openai/prediction.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/limits.h"
#include "vendor/openai/messages.h"

namespace reprise {
namespace json = boost::json;
namespace {

std::string ReadPredictedContent(FieldReader& prediction) {
  const json::value* content = prediction.Find("content");
  if (content != nullptr && content->is_string()) return std::string(content->get_string());
  if (content == nullptr || !content->is_array()) {
    prediction.Refuse(
        ErrorCode::kInvalidArgument, "content",
        fmt::format("'{}' must be a string or an array of text parts{}.",
                    prediction.PathOf("content"),
                    content ? fmt::format(", not {}", KindName(*content)) : std::string()));
    return {};
  }
  std::string text;
  const json::array* parts = prediction.Array("content", limits::kMaxMessages);
  for (size_t i = 0; parts != nullptr && i < parts->size() && prediction.ok(); ++i) {
    text += ReadTextPart((*parts)[i], fmt::format("content[{}]", i), prediction);
  }
  return text;
}

}  // namespace

std::string ReadPrediction(FieldReader& fields) {
  const json::object* object = fields.Object("prediction");
  if (object == nullptr) return {};
  FieldReader prediction(*object, fields.PathOf("prediction"));
  const auto type = prediction.String("type");
  if (type != "content") {
    prediction.Refuse(ErrorCode::kInvalidArgument, "type",
                      fmt::format("'{}' must be 'content'.", prediction.PathOf("type")));
  }
  std::string text = ReadPredictedContent(prediction);
  fields.Adopt(prediction.status());
  return text;
}

std::vector<TokenId> PredictedTokens(std::string_view text, const PromptModel& model,
                                     std::string_view tenant) {
  const size_t most_tokens = static_cast<size_t>(model.max_sequence_tokens);
  size_t bytes = std::min(text.size(), most_tokens * model.tokenizer->longest_piece_bytes());
  while (bytes < text.size() && (text[bytes] & 0xC0) == 0x80) --bytes;  // whole characters
  std::vector<TokenId> tokens = model.tokenizer->Encode(text.substr(0, bytes), {.tenant = tenant});
  if (tokens.size() > most_tokens) tokens.resize(most_tokens);
  return tokens;
}

}  // namespace reprise
