#include "dialect/call_formats.h"

#include <boost/json.hpp>
#include <optional>
#include <string>

#include "dialect/json_scanner.h"
#include "dialect/literal_values.h"
#include "dialect/marks.h"

namespace reprise {
namespace json = boost::json;
namespace {

constexpr size_t kMaxNameBytes =
    256;  // of a tool or a parameter, with what a family puts around it

// A JSON string, decoded.
std::optional<std::string> DecodeString(std::string_view text) {
  boost::system::error_code failure;
  const json::value value = json::parse(text, failure);
  if (failure || !value.is_string()) return std::nullopt;
  return std::string(std::string_view(value.get_string()));
}

// Any JSON value, as it is written.
Parse ReadValue(ReplyInput& input, std::string& text) {
  const int first = co_await input.Peek();
  if (first == '{' || first == '[' || first == '"') {
    const bool found = co_await ReadJson(input, text);
    co_return found;
  }
  for (;;) {
    const int byte = co_await input.Peek();
    if (byte == ReplyInput::kEnd || IsJsonSpace(byte) || byte == ',' || byte == '}' || byte == ']')
      break;
    if (text.size() == kMaxNameBytes) co_return false;
    text += static_cast<char>(byte);
    input.Skip();
  }
  boost::system::error_code failure;
  json::parse(text, failure);
  co_return !failure;
}

// What is known of {"name": …, "arguments": {…}} while it comes.
struct Envelope {
  bool begun = false;
  std::string arguments;  // that came before the name
};

Parse ReadName(ReplyInput& input, CallSink& sink, Envelope& envelope) {
  std::string text;
  const bool whole = co_await ReadJson(input, text);
  if (!whole || envelope.begun) co_return false;
  const std::optional<std::string> name = DecodeString(text);
  envelope.begun = name && sink.Begin(*name);
  if (envelope.begun && !envelope.arguments.empty()) sink.Arguments(envelope.arguments);
  co_return envelope.begun;
}

Parse ReadEnvelopeArguments(ReplyInput& input, CallSink& sink, Envelope& envelope) {
  const int first = co_await input.Peek();
  if (first == '{' && envelope.begun && envelope.arguments.empty()) {
    const bool found = co_await ReadArguments(input, sink);
    envelope.arguments = "{}";  // there are some
    co_return found;
  }
  std::string text;
  const bool whole = co_await ReadJson(input, text);
  if (!whole || !envelope.arguments.empty()) co_return false;
  if (first == '"') text = DecodeString(text).value_or("");  // an object written as a string
  boost::system::error_code failure;
  const json::value value = json::parse(text, failure);
  if (failure || !value.is_object()) co_return false;
  envelope.arguments = text;
  if (envelope.begun) sink.Arguments(text);
  co_return true;
}

// {"name": …, "arguments" or "parameters": {…}}, in whatever order, other keys beside.
Parse ReadEnvelope(ReplyInput& input, CallSink& sink) {
  const bool opens = co_await Takes(input, "{");
  if (!opens) co_return false;
  Envelope envelope;
  for (;;) {
    co_await SkipSpace(input);
    std::string quoted;
    const int first = co_await input.Peek();
    if (first != '"') co_return false;
    bool found = co_await ReadJson(input, quoted);
    const std::optional<std::string> key = DecodeString(quoted);
    if (!found || !key) co_return false;
    co_await SkipSpace(input);
    found = co_await Takes(input, ":");
    if (!found) co_return false;
    co_await SkipSpace(input);
    if (*key == "name") {
      found = co_await ReadName(input, sink, envelope);
    } else if (*key == "arguments" || *key == "parameters") {
      found = co_await ReadEnvelopeArguments(input, sink, envelope);
    } else {
      std::string ignored;
      found = co_await ReadValue(input, ignored);
    }
    if (!found) co_return false;
    co_await SkipSpace(input);
    found = co_await Takes(input, "}");
    if (found) break;
    found = co_await Takes(input, ",");
    if (!found) co_return false;
  }
  if (!envelope.begun) co_return false;
  if (envelope.arguments.empty()) sink.Arguments("{}");
  co_return sink.End();
}

// The rest of a parameter's text, up to its end mark, which may stand on a line of its own. What is
// text in JSON too is passed on at once, the rest gathered.
Parse ReadParameterText(ReplyInput& input, bool as_text, CallSink& sink, std::string& text) {
  co_await Takes(input, "\n");
  for (;;) {
    const int byte = co_await input.Peek();
    if (byte == ReplyInput::kEnd) co_return false;
    if (byte == '\n') {
      const bool ends = co_await Takes(input, "\n</parameter>");
      if (ends) co_return true;
    }
    if (byte == '<') {
      const bool ends = co_await Takes(input, marks::kParameterEnd);
      if (ends) co_return true;
    }
    input.Skip();
    const char letter = static_cast<char>(byte);
    if (as_text) {
      sink.Arguments(EscapedForJson(letter));
    } else {
      text += letter;
    }
  }
}

Parse ReadParameter(ReplyInput& input, CallSink& sink, bool first) {
  std::string key;
  const bool named = co_await ReadUntil(input, ">", kMaxNameBytes, key);
  if (!named) co_return false;
  sink.Arguments((first ? "{" : ", ") + QuotedJson(key) + ": ");
  const bool as_text = sink.TakesText(key);
  if (as_text) sink.Arguments("\"");
  std::string text;
  const bool whole = co_await ReadParameterText(input, as_text, sink, text);
  if (!whole) co_return false;
  if (as_text) {
    sink.Arguments("\"");
    co_return true;
  }
  sink.Arguments(JsonOfLiteral(text));
  co_return true;
}

Parse ReadFunction(ReplyInput& input, CallSink& sink) {
  std::string name;
  bool found = co_await ReadUntil(input, ">", kMaxNameBytes, name);
  if (!found || !sink.Begin(name)) co_return false;
  for (bool first = true;; first = false) {
    co_await SkipSpace(input);
    found = co_await Takes(input, marks::kFunctionEnd);
    if (found) {
      sink.Arguments(first ? "{}" : "}");
      co_return sink.End();
    }
    found = co_await Takes(input, marks::kParameter);
    if (!found) co_return false;
    found = co_await ReadParameter(input, sink, first);
    if (!found) co_return false;
  }
}

// name[CALL_ID]id[ARGS]{…}, the marks perhaps missing.
Parse ReadNamedMistralCall(ReplyInput& input, CallSink& sink) {
  std::string name;
  for (;;) {
    const int byte = co_await input.Peek();
    if (byte == ReplyInput::kEnd || name.size() == kMaxNameBytes) co_return false;
    if (byte == '[' || byte == '{' || IsJsonSpace(byte)) break;
    name += static_cast<char>(byte);
    input.Skip();
  }
  if (!sink.Begin(name)) co_return false;
  bool found = co_await Takes(input, marks::kMistralId);
  if (found) {
    std::string id;
    found = co_await ReadUntil(input, marks::kMistralArguments, kMaxNameBytes, id);
    if (!found) co_return false;
  } else {
    co_await Takes(input, marks::kMistralArguments);
  }
  co_await SkipSpace(input);
  found = co_await ReadArguments(input, sink);
  co_return found&& sink.End();
}

// Envelopes between brackets.
Parse ReadMistralList(ReplyInput& input, CallSink& sink) {
  for (;;) {
    co_await SkipSpace(input);
    bool found = co_await ReadEnvelope(input, sink);
    if (!found) co_return false;
    co_await SkipSpace(input);
    found = co_await Takes(input, ",");
    if (!found) break;
  }
  co_await Takes(input, "]");
  co_return true;
}

// Behind <｜tool▁call▁begin｜>: name<｜tool▁sep｜>{…}, or function<｜tool▁sep｜>name and ```json.
Parse ReadDeepSeekCall(ReplyInput& input, CallSink& sink) {
  std::string name;
  bool found = co_await ReadUntil(input, marks::kDeepSeekSeparator, kMaxNameBytes, name);
  if (!found) co_return false;
  const bool fenced = name == "function";
  if (fenced) {
    name.clear();
    found = co_await ReadUntil(input, "\n", kMaxNameBytes, name);
    if (!found) co_return false;
  }
  if (!sink.Begin(name)) co_return false;
  co_await SkipSpace(input);
  if (fenced) {
    co_await Takes(input, "```json");
    co_await SkipSpace(input);
  }
  found = co_await ReadArguments(input, sink);
  if (!found || !sink.End()) co_return false;
  co_await SkipSpace(input);
  if (fenced) {
    co_await Takes(input, "```");
    co_await SkipSpace(input);
  }
  co_await Takes(input, marks::kDeepSeekCallEnd);
  co_return true;
}

// "functions.name:0" → "name"
std::string_view NameInKimiId(std::string_view id) {
  constexpr std::string_view kPrefix = "functions.";
  while (!id.empty() && IsJsonSpace(id.back())) id.remove_suffix(1);
  while (!id.empty() && IsJsonSpace(id.front())) id.remove_prefix(1);
  if (id.starts_with(kPrefix)) id.remove_prefix(kPrefix.size());
  return id.substr(0, id.rfind(':'));
}

Parse ReadKimiCall(ReplyInput& input, CallSink& sink) {
  std::string id;
  bool found = co_await ReadUntil(input, marks::kKimiArguments, kMaxNameBytes, id);
  if (!found || !sink.Begin(NameInKimiId(id))) co_return false;
  co_await SkipSpace(input);
  found = co_await ReadArguments(input, sink);
  if (!found || !sink.End()) co_return false;
  co_await SkipSpace(input);
  co_await Takes(input, marks::kKimiCallEnd);
  co_return true;
}

// Calls, each behind its mark, up to the section's end.
Parse ReadSection(ReplyInput& input, CallSink& sink, std::string_view mark, std::string_view end,
                  Parse (*read)(ReplyInput&, CallSink&)) {
  for (bool any = false;; any = true) {
    co_await SkipSpace(input);
    bool found = co_await Takes(input, end);
    if (found) co_return any;
    found = co_await Takes(input, mark);
    if (!found) co_return any;
    found = co_await read(input, sink);
    if (!found) co_return false;
  }
}

}  // namespace

Parse Sees(ReplyInput& input, std::string_view mark) {
  for (;;) {
    const std::string_view rest = input.rest();
    if (rest.size() >= mark.size()) co_return rest.starts_with(mark);
    if (!mark.starts_with(rest) || input.closed()) co_return false;
    co_await input.More();
  }
}

Parse Takes(ReplyInput& input, std::string_view mark) {
  const bool sees = co_await Sees(input, mark);
  if (sees) input.Skip(mark.size());
  co_return sees;
}

Parse SkipSpace(ReplyInput& input) {
  for (;;) {
    const int byte = co_await input.Peek();
    if (!IsJsonSpace(byte)) co_return true;
    input.Skip();
  }
}

Parse ReadUntil(ReplyInput& input, std::string_view mark, size_t most, std::string& text) {
  for (;;) {
    const int byte = co_await input.Peek();
    if (byte == ReplyInput::kEnd) co_return false;
    if (byte == static_cast<unsigned char>(mark.front())) {
      const bool ends = co_await Takes(input, mark);
      if (ends) co_return true;
    }
    if (text.size() == most) co_return false;
    text += static_cast<char>(byte);
    input.Skip();
  }
}

Parse ReadJson(ReplyInput& input, std::string& text) {
  JsonScanner scanner;
  for (;;) {
    const int byte = co_await input.Peek();
    if (byte == ReplyInput::kEnd) co_return false;
    const JsonScanner::State state = scanner.Push(static_cast<char>(byte));
    if (state == JsonScanner::State::kBroken) co_return false;
    input.Skip();
    text += static_cast<char>(byte);
    if (state == JsonScanner::State::kEnd) co_return true;
  }
}

Parse ReadArguments(ReplyInput& input, CallSink& sink) {
  const int first = co_await input.Peek();
  if (first != '{') co_return false;
  JsonScanner scanner;
  for (;;) {
    const int byte = co_await input.Peek();
    if (byte == ReplyInput::kEnd) co_return false;
    const char letter = static_cast<char>(byte);
    const JsonScanner::State state = scanner.Push(letter);
    if (state == JsonScanner::State::kBroken) co_return false;
    input.Skip();
    sink.Arguments({&letter, 1});
    if (state == JsonScanner::State::kEnd) co_return true;
  }
}

Parse ReadHermesCall(ReplyInput& input, CallSink& sink) {
  co_await SkipSpace(input);
  const bool found = co_await ReadEnvelope(input, sink);
  if (!found) co_return false;
  co_await SkipSpace(input);
  co_await Takes(input, marks::kToolCallEnd);
  co_return true;
}

Parse ReadQwenCoderCall(ReplyInput& input, CallSink& sink) {
  co_await SkipSpace(input);
  bool found = co_await Takes(input, marks::kFunction);
  if (found) {
    found = co_await ReadFunction(input, sink);
  } else {
    found = co_await ReadEnvelope(input, sink);
  }
  if (!found) co_return false;
  co_await SkipSpace(input);
  co_await Takes(input, marks::kToolCallEnd);
  co_return true;
}

Parse ReadLlamaCalls(ReplyInput& input, CallSink& sink) {
  co_await Takes(input, marks::kPythonTag);
  for (;;) {
    co_await SkipSpace(input);
    bool found = co_await ReadEnvelope(input, sink);
    if (!found) co_return false;
    co_await SkipSpace(input);
    found = co_await Takes(input, ";");
    if (!found) co_return true;
  }
}

Parse ReadPythonicCalls(ReplyInput& input, CallSink& sink) {
  co_await Takes(input, marks::kPythonStart);
  bool found = co_await Takes(input, "[");
  if (!found) co_return false;
  for (;;) {
    co_await SkipSpace(input);
    found = co_await ReadPythonCall(input, sink);
    if (!found) co_return false;
    co_await SkipSpace(input);
    found = co_await Takes(input, ",");
    if (!found) break;
  }
  co_await Takes(input, "]");
  co_await Takes(input, marks::kPythonEnd);
  co_return true;
}

Parse ReadMistralCalls(ReplyInput& input, CallSink& sink) {
  co_await SkipSpace(input);
  bool found = co_await Takes(input, "[");
  if (found) {
    found = co_await ReadMistralList(input, sink);
  } else {
    found = co_await ReadNamedMistralCall(input, sink);
  }
  co_return found;
}

Parse ReadDeepSeekCalls(ReplyInput& input, CallSink& sink) {
  return ReadSection(input, sink, marks::kDeepSeekCall, marks::kDeepSeekCallsEnd, ReadDeepSeekCall);
}

Parse ReadKimiCalls(ReplyInput& input, CallSink& sink) {
  return ReadSection(input, sink, marks::kKimiCall, marks::kKimiCallsEnd, ReadKimiCall);
}

Parse ReadFunctionGemmaCall(ReplyInput& input, CallSink& sink) {
  bool found = co_await Takes(input, "call:");
  if (!found) co_return false;
  found = co_await ReadGemmaCall(input, sink);
  if (!found) co_return false;
  co_await Takes(input, marks::kGemmaCallEnd);
  co_return true;
}

}  // namespace reprise
