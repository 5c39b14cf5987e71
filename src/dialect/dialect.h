#pragma once

// How a model family writes what is not plain text in its replies: calls of tools, and thinking.
// Found out from the words of its chat template, which shows the model's own writing. Values and
// pure functions; any thread.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "text/tokenizer.h"

namespace reprise {

enum class ToolFormat : uint8_t {
  kHermes,  // <tool_call>{"name": …, "arguments": {…}}</tool_call>; also of models without one
  kQwenCoder,     // <tool_call><function=…><parameter=…>…</parameter></function></tool_call>
  kLlama,         // {"name": …, "parameters": {…}} as the whole reply; more behind ";"
  kPythonic,      // [name(key=value), …] as the whole reply
  kMistral,       // [TOOL_CALLS][{"name": …, "arguments": {…}}]
  kMistralNamed,  // [TOOL_CALLS]name[ARGS]{…}
  kDeepSeek,      // <｜tool▁call▁begin｜>name<｜tool▁sep｜>{…}<｜tool▁call▁end｜>
  kDeepSeekFenced,  // <｜tool▁call▁begin｜>function<｜tool▁sep｜>name and ```json
  kKimi,            // <|tool_call_begin|>functions.name:0<|tool_call_argument_begin|>{…}
  kFunctionGemma,   // <start_function_call>call:name{key:<escape>text<escape>}<end_function_call>
  kHarmony,         // gpt-oss: <|channel|>commentary to=functions.name<|message|>{…}<|call|>
};
inline constexpr size_t kToolFormats = 11;

// "hermes", "qwen3-coder", …: for --tool-format and messages.
std::string_view NameOf(ToolFormat format);
std::optional<ToolFormat> ToolFormatOf(std::string_view name);
// All of them, "a, b, c".
std::string ToolFormatNames();

struct Dialect {
  ToolFormat tools = ToolFormat::kHermes;
  // What stands around thinking; empty: the family does none, or (kHarmony) has a channel for it.
  std::string think_begin = {}, think_end = {};

  bool operator==(const Dialect&) const = default;
};

// `knows_tools`: the template shows tools' definitions by itself. Where it does not, they are
// described to the model in the generic form, kHermes (prompt/tool_text.h).
Dialect DialectOf(std::string_view template_source, bool knows_tools);

// Texts that a dialect reads as more than text.
std::vector<std::string_view> MarksOf(const Dialect& dialect);
// Control tokens among them, whose texts the reader wants to see.
std::vector<TokenId> ControlMarksOf(const Dialect& dialect, const Tokenizer& tokenizer);

}  // namespace reprise
