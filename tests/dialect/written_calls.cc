#include "written_calls.h"

#include <fmt/format.h>

namespace reprise {
namespace json = boost::json;
namespace {

std::string Python(const json::value& value) {
  if (value.is_null()) return "None";
  if (value.is_bool()) return value.get_bool() ? "True" : "False";
  if (value.is_string()) {
    std::string text = "'";
    for (const char c : value.get_string()) {
      if (c == '\'' || c == '\\') text += '\\';
      if (c == '\n') {
        text += "\\n";
      } else {
        text += c;
      }
    }
    text += "'";
    return text;
  }
  std::string list;
  if (const json::array* array = value.if_array()) {
    for (const json::value& each : *array)
      list += fmt::format("{}{}", list.empty() ? "" : ", ", Python(each));
    return fmt::format("[{}]", list);
  }
  if (const json::object* object = value.if_object()) {
    for (const auto& [key, each] : *object) {
      list += fmt::format("{}{}: {}", list.empty() ? "" : ", ", Python(json::string(key)),
                          Python(each));
    }
    return fmt::format("{{{}}}", list);
  }
  return json::serialize(value);
}

std::string Gemma(const json::value& value) {
  if (value.is_string()) {
    return fmt::format("<escape>{}<escape>", std::string_view(value.get_string()));
  }
  std::string list;
  if (const json::array* array = value.if_array()) {
    for (const json::value& each : *array)
      list += fmt::format("{}{}", list.empty() ? "" : ",", Gemma(each));
    return fmt::format("[{}]", list);
  }
  if (const json::object* object = value.if_object()) {
    for (const auto& [key, each] : *object) {
      list += fmt::format("{}{}:{}", list.empty() ? "" : ",", std::string_view(key), Gemma(each));
    }
    return fmt::format("{{{}}}", list);
  }
  return json::serialize(value);
}

std::string Keyed(const json::object& arguments, std::string_view assign, std::string_view comma,
                  std::string (*write)(const json::value&)) {
  std::string text;
  for (const auto& [key, value] : arguments) {
    text += fmt::format("{}{}{}{}", text.empty() ? "" : comma, std::string_view(key), assign,
                        write(value));
  }
  return text;
}

std::string Parameters(const WrittenCall& call, const ToolSet& tools) {
  std::string text;
  for (const auto& [key, value] : call.arguments) {
    const bool as_text = tools.Find(call.name)->TakesText(key);
    text += fmt::format(
        "<parameter={}>\n{}\n</parameter>\n", std::string_view(key),
        as_text ? std::string(std::string_view(value.as_string())) : json::serialize(value));
  }
  return text;
}

std::string Object(const WrittenCall& call, const char* key) {
  return fmt::format(R"({{"name": "{}", "{}": {}}})", call.name, key,
                     json::serialize(call.arguments));
}

std::string Joined(const std::vector<WrittenCall>& calls, std::string_view between,
                   const std::function<std::string(const WrittenCall&, size_t)>& write,
                   std::string_view before = "", std::string_view after = "") {
  std::string text(before);
  for (size_t i = 0; i < calls.size(); ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : between, write(calls[i], i));
  }
  text += after;
  return text;
}

}  // namespace

bool TextMayComeFirst(ToolFormat format) {
  return format != ToolFormat::kLlama && format != ToolFormat::kPythonic &&
         format != ToolFormat::kHarmony;
}

std::string WriteCalls(ToolFormat format, const std::vector<WrittenCall>& calls,
                       const ToolSet& tools) {
  const auto arguments = [](const WrittenCall& call) { return json::serialize(call.arguments); };
  switch (format) {
    case ToolFormat::kHermes:
      return Joined(calls, "\n", [](const WrittenCall& call, size_t) {
        return fmt::format("<tool_call>\n{}\n</tool_call>", Object(call, "arguments"));
      });
    case ToolFormat::kQwenCoder:
      return Joined(calls, "\n", [&](const WrittenCall& call, size_t) {
        return fmt::format("<tool_call>\n<function={}>\n{}</function>\n</tool_call>", call.name,
                           Parameters(call, tools));
      });
    case ToolFormat::kLlama:
      return Joined(calls, "; ",
                    [](const WrittenCall& call, size_t) { return Object(call, "parameters"); });
    case ToolFormat::kPythonic:
      return Joined(
          calls, ", ",
          [](const WrittenCall& call, size_t) {
            return fmt::format("{}({})", call.name, Keyed(call.arguments, "=", ", ", Python));
          },
          "[", "]");
    case ToolFormat::kMistral:
      return "[TOOL_CALLS][" +
             Joined(calls, ", ",
                    [](const WrittenCall& call, size_t) { return Object(call, "arguments"); }) +
             "]";
    case ToolFormat::kMistralNamed:
      return Joined(calls, "", [&](const WrittenCall& call, size_t) {
        return fmt::format("[TOOL_CALLS]{}[ARGS]{}", call.name, arguments(call));
      });
    case ToolFormat::kDeepSeek:
      return "<｜tool▁calls▁begin｜>" +
             Joined(calls, "",
                    [&](const WrittenCall& call, size_t) {
                      return "<｜tool▁call▁begin｜>" + call.name + "<｜tool▁sep｜>" +
                             arguments(call) + "<｜tool▁call▁end｜>";
                    }) +
             "<｜tool▁calls▁end｜>";
    case ToolFormat::kDeepSeekFenced:
      return "<｜tool▁calls▁begin｜>" +
             Joined(calls, "\n",
                    [&](const WrittenCall& call, size_t) {
                      return "<｜tool▁call▁begin｜>function<｜tool▁sep｜>" + call.name +
                             "\n```json\n" + arguments(call) + "\n```<｜tool▁call▁end｜>";
                    }) +
             "<｜tool▁calls▁end｜>";
    case ToolFormat::kKimi:
      return "<|tool_calls_section_begin|>" +
             Joined(calls, "",
                    [&](const WrittenCall& call, size_t i) {
                      return fmt::format(
                          "<|tool_call_begin|>functions.{}:{}<|tool_call_argument_begin|>{}"
                          "<|tool_call_end|>",
                          call.name, i, arguments(call));
                    }) +
             "<|tool_calls_section_end|>";
    case ToolFormat::kFunctionGemma:
      return Joined(calls, "", [](const WrittenCall& call, size_t) {
        return fmt::format("<start_function_call>call:{}{{{}}}<end_function_call>", call.name,
                           Keyed(call.arguments, ":", ",", Gemma));
      });
    case ToolFormat::kHarmony:
      return Joined(calls, "<|start|>assistant", [&](const WrittenCall& call, size_t) {
        return "<|channel|>commentary to=functions." + call.name + " <|constrain|>json<|message|>" +
               arguments(call) + "<|call|>";
      });
  }
  return "";
}

namespace {

size_t Below(std::mt19937& random, size_t count) {
  return std::uniform_int_distribution<size_t>(0, count - 1)(random);
}

std::string RandomWord(std::mt19937& random) {
  std::string word(1 + Below(random, 9), ' ');
  for (char& c : word) c = static_cast<char>('a' + Below(random, 26));
  if (Below(random, 3) == 0) word += fmt::format("_{}", Below(random, 10));
  return word;
}

std::string RandomText(std::mt19937& random) {
  static const std::vector<std::string> kPieces = {"a",
                                                   "word ",
                                                   "\n",
                                                   "\"",
                                                   "'",
                                                   "\\",
                                                   "{",
                                                   "}",
                                                   "[",
                                                   "]",
                                                   ",",
                                                   ": ",
                                                   "é",
                                                   "日本",
                                                   "🙂",
                                                   "<",
                                                   ">",
                                                   "</b>",
                                                   "true",
                                                   "None",
                                                   "\n\n",
                                                   "<tool_call>",
                                                   "</tool_call>",
                                                   "def f(x):\n    return x",
                                                   "[ARGS]",
                                                   "```",
                                                   "<|end|>",
                                                   "\t",
                                                   " "};
  std::string text;
  for (size_t i = Below(random, 8); i > 0; --i) text += kPieces[Below(random, kPieces.size())];
  return text;
}

constexpr const char* kTypes[] = {"string", "integer", "number", "boolean", "array", "object"};

json::value RandomValue(std::mt19937& random, std::string_view type, int depth = 0) {
  if (type == "string") return json::string(RandomText(random));
  if (type == "integer") return static_cast<int64_t>(Below(random, 2000)) - 1000;
  if (type == "number") return static_cast<double>(Below(random, 2000)) / 8 - 100;
  if (type == "boolean") return Below(random, 2) == 0;
  const auto inner = [&] {
    return RandomValue(random, kTypes[Below(random, depth < 2 ? 6 : 4)], depth + 1);
  };
  if (type == "array") {
    json::array list;
    for (size_t i = Below(random, 4); i > 0; --i) list.push_back(inner());
    return list;
  }
  json::object object;
  for (size_t i = Below(random, 4); i > 0; --i) object[RandomWord(random)] = inner();
  return object;
}

}  // namespace

json::array RandomTools(std::mt19937& random) {
  json::array tools;
  for (size_t i = 1 + Below(random, 6); i > 0; --i) {
    json::object properties;
    json::array required;
    for (size_t j = Below(random, 6); j > 0; --j) {
      const std::string name = RandomWord(random);
      if (properties.contains(name)) continue;
      properties[name] = {{"type", kTypes[Below(random, 6)]}};
      if (Below(random, 2) == 0) required.push_back(json::string(name));
    }
    const json::object parameters = {
        {"type", "object"}, {"properties", properties}, {"required", required}};
    tools.push_back(
        {{"type", "function"},
         {"function",
          {{"name", fmt::format("{}{}", RandomWord(random), i)}, {"parameters", parameters}}}});
  }
  return tools;
}

std::vector<WrittenCall> RandomCalls(std::mt19937& random, const json::array& tools) {
  std::vector<WrittenCall> calls;
  for (size_t i = 1 + Below(random, 3); i > 0; --i) {
    const json::object& function =
        tools[Below(random, tools.size())].as_object().at("function").as_object();
    WrittenCall call{std::string(std::string_view(function.at("name").as_string())), {}};
    const json::object& parameters = function.at("parameters").as_object();
    for (const auto& [name, schema] : parameters.at("properties").as_object()) {
      if (Below(random, 4) == 0) continue;
      call.arguments[name] =
          RandomValue(random, std::string_view(schema.as_object().at("type").as_string()));
    }
    calls.push_back(std::move(call));
  }
  return calls;
}

namespace {

void Take(const std::vector<ReplyPiece>& pieces, ReadReply& read, std::string& open,
          bool& is_open) {
  for (const ReplyPiece& piece : pieces) {
    switch (piece.kind) {
      case ReplyPiece::Kind::kText:
        read.valid = read.valid && !is_open;
        read.text += piece.text;
        break;
      case ReplyPiece::Kind::kThinking:
        read.thinking += piece.text;
        break;
      case ReplyPiece::Kind::kCall:
        read.valid = read.valid && !is_open;
        is_open = true;
        open.clear();
        read.calls.push_back({piece.text, {}});
        break;
      case ReplyPiece::Kind::kArguments:
        read.valid = read.valid && is_open;
        open += piece.text;
        break;
      case ReplyPiece::Kind::kCallEnd: {
        boost::system::error_code failure;
        const json::value value = json::parse(open, failure);
        read.valid = read.valid && is_open && !failure && value.is_object();
        if (read.valid) read.calls.back().arguments = value.get_object();
        is_open = false;
        break;
      }
      case ReplyPiece::Kind::kNoCall:
      case ReplyPiece::Kind::kCutCall:
        read.valid = read.valid && is_open;
        read.calls.pop_back();
        read.broken += piece.text;
        is_open = false;
        break;
    }
  }
}

}  // namespace

ReadReply Read(const ReplyReader::Options& options, std::string_view reply,
               const std::vector<size_t>& lengths, bool cut) {
  ReplyReader reader(options);
  ReadReply read;
  std::string open;
  bool is_open = false;
  for (const size_t length : lengths) {
    Take(reader.Push(reply.substr(0, length)), read, open, is_open);
    reply.remove_prefix(std::min(length, reply.size()));
  }
  Take(reader.Push(reply), read, open, is_open);
  Take(reader.Finish(cut), read, open, is_open);
  read.valid = read.valid && !is_open;
  return read;
}

}  // namespace reprise
