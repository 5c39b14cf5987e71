#include "dialect/dialect.h"

#include <algorithm>
#include <array>

#include "dialect/marks.h"

namespace reprise {
namespace {

constexpr std::array<std::string_view, kToolFormats> kNames = {
    "hermes",   "qwen3-coder", "llama", "pythonic",      "mistral", "mistral-args",
    "deepseek", "deepseek-v3", "kimi",  "functiongemma", "gpt-oss",
};

// The first whose words the template has.
struct Trace {
  std::string_view words;
  ToolFormat format;
};
constexpr Trace kTraces[] = {
    {marks::kChannel, ToolFormat::kHarmony},
    {marks::kMistralArguments, ToolFormat::kMistralNamed},
    {marks::kMistralCalls, ToolFormat::kMistral},
    {marks::kDeepSeekCalls, ToolFormat::kDeepSeek},
    {marks::kKimiCalls, ToolFormat::kKimi},
    {marks::kGemmaCall, ToolFormat::kFunctionGemma},
    {marks::kFunction, ToolFormat::kQwenCoder},
    {marks::kToolCall, ToolFormat::kHermes},
    {"[func_name1(", ToolFormat::kPythonic},
    {"tool_call.name + '('", ToolFormat::kPythonic},
    {marks::kPythonTag, ToolFormat::kLlama},
    {"\"parameters\": dictionary of argument name", ToolFormat::kLlama},
};

}  // namespace

std::string_view NameOf(ToolFormat format) { return kNames[static_cast<size_t>(format)]; }

std::optional<ToolFormat> ToolFormatOf(std::string_view name) {
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<ToolFormat>(found - kNames.begin());
}

std::string ToolFormatNames() {
  std::string names;
  for (const std::string_view name : kNames) {
    if (!names.empty()) names += ", ";
    names += name;
  }
  return names;
}

Dialect DialectOf(std::string_view template_source, bool knows_tools) {
  const auto has = [&](std::string_view words) {
    return template_source.find(words) != words.npos;
  };
  Dialect dialect;
  if (knows_tools) {
    const auto* trace = std::ranges::find_if(kTraces, has, &Trace::words);
    if (trace != std::end(kTraces)) dialect.tools = trace->format;
    if (dialect.tools == ToolFormat::kDeepSeek && has("```json")) {
      dialect.tools = ToolFormat::kDeepSeekFenced;
    }
  }
  for (const auto& [begin, end] : marks::kThinking) {
    if (dialect.tools == ToolFormat::kHarmony || !has(end)) continue;
    dialect.think_begin = begin;
    dialect.think_end = end;
    break;
  }
  return dialect;
}

std::vector<std::string_view> MarksOf(const Dialect& dialect) {
  using namespace marks;
  std::vector<std::string_view> all;
  switch (dialect.tools) {
    case ToolFormat::kHermes:
      all = {kToolCall, kToolCallEnd};
      break;
    case ToolFormat::kQwenCoder:
      all = {kToolCall, kToolCallEnd, kFunction, kFunctionEnd, kParameter, kParameterEnd};
      break;
    case ToolFormat::kLlama:
    case ToolFormat::kPythonic:
      all = {kPythonTag, kPythonStart, kPythonEnd};
      break;
    case ToolFormat::kMistral:
    case ToolFormat::kMistralNamed:
      all = {kMistralCalls, kMistralId, kMistralArguments};
      break;
    case ToolFormat::kDeepSeek:
    case ToolFormat::kDeepSeekFenced:
      all = {kDeepSeekCalls, kDeepSeekCallsEnd, kDeepSeekCall, kDeepSeekCallEnd,
             kDeepSeekSeparator};
      break;
    case ToolFormat::kKimi:
      all = {kKimiCalls, kKimiCallsEnd, kKimiCall, kKimiCallEnd, kKimiArguments};
      break;
    case ToolFormat::kFunctionGemma:
      all = {kGemmaCall, kGemmaCallEnd, kGemmaEscape};
      break;
    case ToolFormat::kHarmony:
      all = {kStart, kChannel, kConstrain, kMessage, kEnd, kCall, kReturn};
      break;
  }
  if (!dialect.think_begin.empty()) all.emplace_back(dialect.think_begin);
  if (!dialect.think_end.empty()) all.emplace_back(dialect.think_end);
  return all;
}

std::vector<TokenId> ControlMarksOf(const Dialect& dialect, const Tokenizer& tokenizer) {
  std::vector<TokenId> tokens;
  const std::vector<std::string_view> all = MarksOf(dialect);
  for (size_t i = 0; i < tokenizer.vocabulary().tokens.size(); ++i) {
    const auto token = static_cast<TokenId>(i);
    if (tokenizer.IsControl(token) && !tokenizer.IsEndOfGeneration(token) &&
        std::ranges::find(all, tokenizer.Piece(token)) != all.end()) {
      tokens.push_back(token);
    }
  }
  return tokens;
}

}  // namespace reprise
