#include "vendor/openai/parameters.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <string_view>

#include "base/limits.h"

namespace reprise {
namespace json = boost::json;
namespace {

constexpr int64_t kIntMax = std::numeric_limits<int>::max();

void ReadFloat(FieldReader& fields, std::string_view name, double min, double max, float& into) {
  if (const auto number = fields.Number(name, min, max)) into = static_cast<float>(*number);
}

// {"1234": -100, …}: ids as the keys of an object.
void ReadLogitBias(FieldReader& fields, int vocabulary, SamplingParameters& sampling) {
  const json::object* bias = fields.Object("logit_bias");
  if (bias == nullptr) return;
  if (bias->size() > limits::kMaxLogitBias) {
    fields.Refuse(ErrorCode::kInvalidArgument, "logit_bias",
                  fmt::format("'logit_bias' may name at most {} tokens.", limits::kMaxLogitBias));
    return;
  }
  FieldReader entries(*bias, fields.PathOf("logit_bias"));
  for (const auto& [key, unused] : *bias) {
    TokenId token = -1;
    const char* end = key.data() + key.size();
    const auto [stopped, failure] = std::from_chars(key.data(), end, token);
    if (failure != std::errc() || stopped != end || token < 0 || token >= vocabulary) {
      entries.Refuse(
          ErrorCode::kInvalidArgument, "",
          fmt::format("'logit_bias' has keys that are token ids from 0 to {}.", vocabulary - 1));
      break;
    }
    if (const auto value = entries.Number(key, -100, 100)) {
      sampling.logit_bias.emplace_back(token, static_cast<float>(*value));
    }
  }
  fields.Adopt(entries.status());
}

void AddStop(FieldReader& fields, const json::value& value, std::vector<std::string>& stop) {
  if (!value.is_string()) {
    fields.Refuse(ErrorCode::kInvalidArgument, "stop",
                  "'stop' must be a string or an array of strings.");
    return;
  }
  const std::string_view text = value.get_string();
  if (text.size() > limits::kMaxStopStringBytes) {
    fields.Refuse(
        ErrorCode::kInvalidArgument, "stop",
        fmt::format("A stop string may have at most {} bytes.", limits::kMaxStopStringBytes));
    return;
  }
  if (!text.empty()) stop.emplace_back(text);
}

void ReadStop(FieldReader& fields, std::vector<std::string>& stop) {
  const json::value* value = fields.Find("stop");
  if (value == nullptr) return;
  if (!value->is_array()) return AddStop(fields, *value, stop);
  const json::array* list = fields.Array("stop", limits::kMaxStopStrings);
  if (list == nullptr) return;
  for (const json::value& entry : *list) AddStop(fields, entry, stop);
}

void ReadSeed(FieldReader& fields, CompletionParameters& parameters) {
  const json::value* value = fields.Find("seed");
  if (value == nullptr) return;
  if (const uint64_t* large = value->if_uint64()) {  // above 2^63
    parameters.sampling.seed = *large;
  } else if (const auto seed = fields.Integer("seed", std::numeric_limits<int64_t>::min(),
                                              std::numeric_limits<int64_t>::max())) {
    parameters.sampling.seed = static_cast<uint64_t>(*seed);
  }
  parameters.seeded = fields.ok();
}

void ReadSampling(FieldReader& fields, int vocabulary, SamplingParameters& sampling) {
  ReadFloat(fields, "temperature", 0, 2, sampling.temperature);
  ReadFloat(fields, "top_p", 0, 1, sampling.top_p);
  ReadFloat(fields, "min_p", 0, 1, sampling.min_p);
  ReadFloat(fields, "presence_penalty", -2, 2, sampling.presence_penalty);
  ReadFloat(fields, "frequency_penalty", -2, 2, sampling.frequency_penalty);
  // Two spellings are about; above 10 or below 0.1 nobody means it.
  ReadFloat(fields, "repeat_penalty", 0.1, 10, sampling.repetition_penalty);
  ReadFloat(fields, "repetition_penalty", 0.1, 10, sampling.repetition_penalty);
  // -1 is how some servers spell "all".
  if (const auto top_k = fields.Integer("top_k", -1, kIntMax)) {
    sampling.top_k = *top_k < 0 ? 0 : static_cast<int>(*top_k);
  }
  ReadLogitBias(fields, vocabulary, sampling);
}

// Text comes whatever is asked for besides.
void ReadModalities(FieldReader& fields) {
  const json::array* list = fields.Array("modalities", limits::kMaxMessages);
  for (const json::value& each : list != nullptr ? *list : json::array()) {
    if (each != "text") {
      fields.Refuse(ErrorCode::kUnsupported, "modalities", "'modalities' may be ['text'].");
    }
  }
}

void ReadStreaming(FieldReader& fields, CompletionParameters& parameters) {
  parameters.stream = fields.Bool("stream").value_or(false);
  const json::object* options = fields.Object("stream_options");
  if (options == nullptr) return;
  FieldReader entries(*options, "stream_options");
  parameters.include_usage = entries.Bool("include_usage").value_or(false);
  fields.Adopt(entries.status());
}

}  // namespace

void ReadParameters(FieldReader& fields, int vocabulary, CompletionParameters& parameters) {
  ReadSampling(fields, vocabulary, parameters.sampling);
  ReadSeed(fields, parameters);
  ReadStop(fields, parameters.stop);
  ReadModalities(fields);
  ReadStreaming(fields, parameters);
  // The newer name wins; both are checked.
  for (const char* name : {"max_tokens", "max_completion_tokens"}) {
    if (const auto count = fields.Integer(name, 0, kIntMax)) {
      parameters.max_tokens = static_cast<int>(*count);
    }
  }
  if (const auto choices = fields.Integer("n", 1, limits::kMaxChoices)) {
    parameters.choices = static_cast<int>(*choices);
  }
  parameters.ignore_eos = fields.Bool("ignore_eos").value_or(false);
  if (!fields.Bool("cache_prompt").value_or(true)) parameters.cache = CacheUse::kNone;
}

void ReadChatLogprobs(FieldReader& fields, CompletionParameters& parameters) {
  const bool wanted = fields.Bool("logprobs").value_or(false);
  const auto top = fields.Integer("top_logprobs", 0, limits::kMaxTopLogprobs);
  if (wanted) parameters.top_logprobs = static_cast<int>(top.value_or(0));
  if (!wanted && top.value_or(0) > 0) {
    fields.Refuse(ErrorCode::kInvalidArgument, "top_logprobs",
                  "'top_logprobs' needs 'logprobs': true.");
  }
}

void ReadTextLogprobs(FieldReader& fields, CompletionParameters& parameters) {
  if (const auto top = fields.Integer("logprobs", 0, limits::kMaxTopLogprobs)) {
    parameters.top_logprobs = static_cast<int>(*top);
  }
}

}  // namespace reprise
