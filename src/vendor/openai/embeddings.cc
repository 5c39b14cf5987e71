#include "vendor/openai/embeddings.h"

#include <fmt/format.h>

#include <array>
#include <bit>

#include "base/base64.h"
#include "base/limits.h"
#include "vendor/field_rules.h"
#include "vendor/json_reader.h"
#include "vendor/openai/text_prompt.h"
#include "vendor/openai/too_long.h"

namespace reprise {
namespace json = boost::json;
namespace {

constexpr std::array kEmbeddingsFields = {
    FieldRule{"cache_prompt", FieldUse::kRead}, FieldRule{"encoding_format", FieldUse::kRead},
    FieldRule{"input", FieldUse::kRead},        FieldRule{"model", FieldUse::kRead},
    FieldRule{"pooling", FieldUse::kRead},      FieldRule{"user", FieldUse::kWithoutEffect},
    FieldRule{"dimensions", FieldUse::kRefused}};

void AppendFloats(const std::vector<float>& values, std::string& body) {
  body += '[';
  const char* comma = "";
  for (const float value : values) {
    body += fmt::format("{}{}", comma, value);  // the shortest that reads back as the same
    comma = ",";
  }
  body += ']';
}

void AppendBase64(const std::vector<float>& values, std::string& body) {
  static_assert(std::endian::native == std::endian::little);
  const std::string_view bytes(reinterpret_cast<const char*>(values.data()),
                               values.size() * sizeof(float));
  body += fmt::format("\"{}\"", EncodeBase64(bytes));
}

}  // namespace

Result<EmbeddingsCall> ReadEmbeddingsCall(std::string_view body, const Caller& caller,
                                          const ServedModel& model) {
  const Result<json::object> object = ParseJsonObject(body);
  if (!object) return std::unexpected(object.error());
  EmbeddingsCall read{.call = BeginCall(caller)};
  Call& call = read.call;
  FieldReader fields(*object, "");
  call.ignored = ApplyFieldRules(kEmbeddingsFields, fields);
  call.model_name = ReadModelName(fields, model);
  call.parameters.max_tokens = 0;
  if (!fields.Bool("cache_prompt").value_or(true)) call.parameters.cache = CacheUse::kNone;
  const std::string_view format = fields.String("encoding_format").value_or("float");
  read.base64 = format == "base64";
  if (!read.base64 && format != "float") {
    fields.Refuse(ErrorCode::kInvalidArgument, "encoding_format",
                  "'encoding_format' may be 'float' or 'base64'.");
  }
  const std::string_view pooling = fields.String("pooling").value_or("mean");
  read.pooling = pooling == "last" ? Pooling::kLast : Pooling::kMean;
  if (pooling != "mean" && pooling != "last") {
    fields.Refuse(ErrorCode::kInvalidArgument, "pooling", "'pooling' may be 'mean' or 'last'.");
  }
  if (fields.ok()) ReadTextPrompts(fields, "input", limits::kMaxEmbeddingInputs, model, call);
  call.breakpoints.resize(call.prompts.size());
  if (fields.ok()) fields.Adopt(CheckPrompts(call, model, {"input", TooLongForOpenAi}));
  if (!fields.ok()) return std::unexpected(fields.status().error());
  return read;
}

GenerationRequest RequestOfInput(const EmbeddingsCall& call, size_t input) {
  GenerationRequest request;
  request.scope = CacheScope(call.call);
  request.prompt = call.call.prompts[input];
  request.max_tokens = 0;
  request.cache = call.call.parameters.cache;
  request.pooling = call.pooling;
  return request;
}

std::string EmbeddingsBody(const EmbeddingsCall& call, std::span<const FinishedEvent> finished,
                           const std::string& model_name) {
  // Written as it goes: a tree of so many numbers would take many times their bytes.
  std::string body = R"({"object":"list","data":[)";
  int tokens = 0;
  int cached = 0;
  for (size_t i = 0; i < finished.size(); ++i) {
    body +=
        fmt::format(R"({}{{"object":"embedding","index":{},"embedding":)", i == 0 ? "" : ",", i);
    if (call.base64) {
      AppendBase64(finished[i].embedding, body);
    } else {
      AppendFloats(finished[i].embedding, body);
    }
    body += '}';
    tokens += finished[i].prompt_tokens;
    cached += finished[i].cached_tokens;
  }
  body += fmt::format(
      R"(],"model":{},"usage":{{"prompt_tokens":{},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":{}}}}}}})",
      json::serialize(json::value(model_name)), tokens, tokens, cached);
  return body;
}

}  // namespace reprise
