#include "dialect/literal_values.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <cctype>

#include "base/limits.h"
#include "dialect/marks.h"

namespace reprise {
namespace json = boost::json;
namespace {

constexpr size_t kMaxWordBytes = 256;  // of a name or a number

enum class Writing : uint8_t { kPython, kGemma };

bool IsJson(std::string_view text) {
  boost::system::error_code failure;
  json::parse(text, failure);
  return !failure;
}

// Letters, digits and what numbers and names have besides. Always true; may find nothing.
Parse ReadWord(ReplyInput& input, std::string_view besides, std::string& word) {
  for (;;) {
    const int byte = co_await input.Peek();
    const bool belongs =
        byte != ReplyInput::kEnd && (std::isalnum(byte) != 0 || byte >= 0x80 ||
                                     besides.find(static_cast<char>(byte)) != besides.npos);
    if (!belongs || word.size() == kMaxWordBytes) co_return true;
    word += static_cast<char>(byte);
    input.Skip();
  }
}

// Behind a backslash of a Python string.
Parse ReadPythonEscape(ReplyInput& input, std::string& text) {
  const int byte = co_await input.Peek();
  if (byte == ReplyInput::kEnd) co_return false;
  input.Skip();
  size_t digits = 0;
  switch (byte) {
    case 'n':
      text += '\n';
      co_return true;
    case 't':
      text += '\t';
      co_return true;
    case 'r':
      text += '\r';
      co_return true;
    case 'b':
      text += '\b';
      co_return true;
    case 'f':
      text += '\f';
      co_return true;
    case '\n':
      co_return true;
    case '\\':
    case '\'':
    case '"':
      text += static_cast<char>(byte);
      co_return true;
    case 'x':
      digits = 2;
      break;
    case 'u':
      digits = 4;
      break;
    default:
      text += '\\';
      text += static_cast<char>(byte);
      co_return true;
  }
  uint32_t code = 0;
  for (size_t i = 0; i < digits; ++i) {
    const int digit = co_await input.Peek();
    if (digit == ReplyInput::kEnd || std::isxdigit(digit) == 0) co_return false;
    input.Skip();
    const int value = std::isdigit(digit) != 0 ? digit - '0' : std::tolower(digit) - 'a' + 10;
    code = code * 16 + static_cast<uint32_t>(value);
  }
  if (code >= 0xD800 && code < 0xE000) co_return false;  // half a character
  AppendUtf8(code, text);
  co_return true;
}

Parse ReadPythonString(ReplyInput& input, std::string& json) {
  const int quote = co_await input.Peek();
  input.Skip();
  std::string text;
  for (;;) {
    const int byte = co_await input.Peek();
    if (byte == ReplyInput::kEnd) co_return false;
    input.Skip();
    if (byte == quote) break;
    if (byte == '\\') {
      const bool whole = co_await ReadPythonEscape(input, text);
      if (!whole) co_return false;
    } else {
      text += static_cast<char>(byte);
    }
  }
  json += QuotedJson(text);
  co_return true;
}

Parse ReadGemmaString(ReplyInput& input, std::string& json) {
  std::string text;
  const bool ends = co_await ReadUntil(input, marks::kGemmaEscape, std::string::npos, text);
  if (ends) json += QuotedJson(text);
  co_return ends;
}

Parse ReadLiteral(ReplyInput& input, Writing writing, size_t depth, std::string& json);

// Behind the opening bracket, up to `close`.
Parse ReadList(ReplyInput& input, Writing writing, size_t depth, char close, std::string& json) {
  json += '[';
  const std::string_view closing(&close, 1);
  for (bool first = true;; first = false) {
    co_await SkipSpace(input);
    bool found = co_await Takes(input, closing);
    if (found) break;
    if (!first) json += ", ";
    found = co_await ReadLiteral(input, writing, depth + 1, json);
    if (!found) co_return false;
    co_await SkipSpace(input);
    found = co_await Takes(input, ",");
    if (found) continue;
    found = co_await Takes(input, closing);
    if (!found) co_return false;
    break;
  }
  json += ']';
  co_return true;
}

Parse ReadKey(ReplyInput& input, Writing writing, std::string& json) {
  const int byte = co_await input.Peek();
  if (writing == Writing::kPython) {
    if (byte != '"' && byte != '\'') co_return false;
    const bool whole = co_await ReadPythonString(input, json);
    co_return whole;
  }
  const bool escaped = co_await Takes(input, marks::kGemmaEscape);
  if (escaped) {
    const bool whole = co_await ReadGemmaString(input, json);
    co_return whole;
  }
  if (byte == '"') {
    const bool whole = co_await ReadJson(input, json);
    co_return whole;
  }
  std::string word;
  co_await ReadWord(input, "_-.$ ", word);
  json += QuotedJson(word);
  co_return !word.empty();
}

Parse ReadDict(ReplyInput& input, Writing writing, size_t depth, std::string& json) {
  json += '{';
  for (bool first = true;; first = false) {
    co_await SkipSpace(input);
    bool found = co_await Takes(input, "}");
    if (found) break;
    if (!first) json += ", ";
    found = co_await ReadKey(input, writing, json);
    if (!found) co_return false;
    co_await SkipSpace(input);
    found = co_await Takes(input, ":");
    if (!found) co_return false;
    co_await SkipSpace(input);
    json += ": ";
    found = co_await ReadLiteral(input, writing, depth + 1, json);
    if (!found) co_return false;
    co_await SkipSpace(input);
    found = co_await Takes(input, ",");
    if (found) continue;
    found = co_await Takes(input, "}");
    if (!found) co_return false;
    break;
  }
  json += '}';
  co_return true;
}

Parse ReadLiteral(ReplyInput& input, Writing writing, size_t depth, std::string& json) {
  if (depth > limits::kMaxJsonDepth) co_return false;
  const int byte = co_await input.Peek();
  bool found = false;
  if (writing == Writing::kPython && (byte == '"' || byte == '\'')) {
    found = co_await ReadPythonString(input, json);
    co_return found;
  }
  if (writing == Writing::kGemma) {
    if (byte == '"') {
      found = co_await ReadJson(input, json);
      co_return found;
    }
    found = co_await Takes(input, marks::kGemmaEscape);
    if (found) {
      found = co_await ReadGemmaString(input, json);
      co_return found;
    }
  }
  if (byte == '[' || (byte == '(' && writing == Writing::kPython)) {
    input.Skip();
    found = co_await ReadList(input, writing, depth, byte == '[' ? ']' : ')', json);
    co_return found;
  }
  if (byte == '{') {
    input.Skip();
    found = co_await ReadDict(input, writing, depth, json);
    co_return found;
  }
  std::string word;
  co_await ReadWord(input, "_-+.", word);
  std::string value = JsonOfLiteral(word);
  if (word.empty() || value.front() == '"') co_return false;
  json += value;
  co_return true;
}

// key=value, … up to `close`, as the arguments of the begun call.
Parse ReadKeyed(ReplyInput& input, Writing writing, CallSink& sink) {
  const std::string_view assign = writing == Writing::kPython ? "=" : ":";
  const std::string_view close = writing == Writing::kPython ? ")" : "}";
  for (bool first = true;; first = false) {
    co_await SkipSpace(input);
    bool found = co_await Takes(input, close);
    if (found) {
      sink.Arguments(first ? "{}" : "}");
      break;
    }
    std::string key;
    co_await ReadWord(input, writing == Writing::kPython ? "_" : "_-.$ ", key);
    if (key.empty()) co_return false;
    co_await SkipSpace(input);
    found = co_await Takes(input, assign);
    if (!found) co_return false;
    co_await SkipSpace(input);
    std::string value;
    found = co_await ReadLiteral(input, writing, 0, value);
    if (!found) co_return false;
    sink.Arguments(fmt::format("{}{}: {}", first ? "{" : ", ", QuotedJson(key), value));
    co_await SkipSpace(input);
    found = co_await Takes(input, ",");
    if (found) continue;
    found = co_await Takes(input, close);
    if (!found) co_return false;
    sink.Arguments("}");
    break;
  }
  co_return sink.End();
}

Parse ReadLiteralCall(ReplyInput& input, Writing writing, CallSink& sink) {
  std::string name;
  co_await ReadWord(input, "_-.", name);
  const bool opens = co_await Takes(input, writing == Writing::kPython ? "(" : "{");
  if (!opens || !sink.Begin(name)) co_return false;
  const bool found = co_await ReadKeyed(input, writing, sink);
  co_return found;
}

}  // namespace

Parse ReadPythonCall(ReplyInput& input, CallSink& sink) {
  const bool found = co_await ReadLiteralCall(input, Writing::kPython, sink);
  co_return found;
}

Parse ReadGemmaCall(ReplyInput& input, CallSink& sink) {
  const bool found = co_await ReadLiteralCall(input, Writing::kGemma, sink);
  co_return found;
}

void AppendUtf8(uint32_t code, std::string& text) {
  const auto add = [&](uint32_t byte) { text += static_cast<char>(byte); };
  if (code < 0x80) {
    add(code);
  } else if (code < 0x800) {
    add(0xC0 | code >> 6);
    add(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    add(0xE0 | code >> 12);
    add(0x80 | (code >> 6 & 0x3F));
    add(0x80 | (code & 0x3F));
  } else {
    add(0xF0 | code >> 18);
    add(0x80 | (code >> 12 & 0x3F));
    add(0x80 | (code >> 6 & 0x3F));
    add(0x80 | (code & 0x3F));
  }
}

std::string QuotedJson(std::string_view text) { return json::serialize(json::value(text)); }

std::string JsonOfLiteral(std::string_view text) {
  if (text == "True") return "true";
  if (text == "False") return "false";
  if (text == "None") return "null";
  if (IsJson(text)) return std::string(text);
  return QuotedJson(text);
}

std::string EscapedForJson(char byte) {
  if (static_cast<unsigned char>(byte) >= 0x80) return std::string(1, byte);
  const std::string quoted = QuotedJson({&byte, 1});
  return quoted.substr(1, quoted.size() - 2);
}

}  // namespace reprise
