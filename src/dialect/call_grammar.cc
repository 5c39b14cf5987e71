#include "dialect/call_grammar.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "dialect/literal_values.h"
#include "dialect/marks.h"

namespace reprise {
namespace json = boost::json;
namespace {

void DropUnknownFormats(json::value& schema) {
  constexpr std::array<std::string_view, 10> kKnown = {
      "date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"};
  constexpr std::array<std::string_view, 4> kNoSchemas = {"const", "enum", "default", "examples"};
  if (json::array* list = schema.if_array()) {
    for (json::value& element : *list) DropUnknownFormats(element);
  }
  json::object* keywords = schema.if_object();
  if (keywords == nullptr) return;
  const json::value* format = keywords->if_contains("format");
  if (format != nullptr && format->is_string() &&
      std::ranges::find(kKnown, std::string_view(format->get_string())) == kKnown.end()) {
    keywords->erase("format");
  }
  for (auto& [key, value] : *keywords) {
    if (std::ranges::find(kNoSchemas, std::string_view(key)) == kNoSchemas.end()) {
      DropUnknownFormats(value);
    }
  }
}

// Objects get no properties beyond those that they name, unless their schema says something of
// them: small models would go on inventing some.
void CloseObjects(json::value& schema) {
  constexpr std::array<std::string_view, 9> kOpen = {"additionalProperties",
                                                     "patternProperties",
                                                     "unevaluatedProperties",
                                                     "allOf",
                                                     "anyOf",
                                                     "oneOf",
                                                     "$ref",
                                                     "$dynamicRef",
                                                     "if"};
  if (json::array* list = schema.if_array()) {
    for (json::value& element : *list) CloseObjects(element);
  }
  json::object* keywords = schema.if_object();
  if (keywords == nullptr) return;
  const json::value* properties = keywords->if_contains("properties");
  if (properties != nullptr && properties->is_object() &&
      std::ranges::none_of(kOpen, [&](std::string_view key) { return keywords->contains(key); })) {
    (*keywords)["additionalProperties"] = false;
  }
  for (auto& [key, value] : *keywords) {
    // What is combined with others, or is no schema, is left alone.
    const bool named = key == "properties" || key == "$defs" || key == "definitions";
    if (named && value.is_object()) {
      for (auto& [name, inner] : value.get_object()) CloseObjects(inner);
    } else if (key == "items" || key == "prefixItems" || key == "anyOf" || key == "oneOf") {
      CloseObjects(value);
    }
  }
}

// Puts rules together. Every rule's body is a sequence of terms, each with its own quotes.
class Writer {
 public:
  Writer(const Dialect& dialect, const Tokenizer& tokenizer)
      : dialect_(dialect), tokenizer_(tokenizer), control_(ControlMarksOf(dialect, tokenizer)) {}

  // A text that may hold marks, some of which are tokens of their own.
  std::string Text(std::string_view text) const {
    std::string terms;
    const auto add = [&](const std::string& term) { terms += (terms.empty() ? "" : " ") + term; };
    while (!text.empty()) {
      const auto [at, token, bytes] = FirstControl(text);
      if (at > 0) add(QuotedJson(text.substr(0, at)));
      if (bytes > 0) add(fmt::format("<[{}]>", token));
      text.remove_prefix(at + bytes);
    }
    return terms;
  }

  // The name of a new rule.
  std::string Rule(const std::string& body) {
    std::string name = fmt::format("r{}", count_++);
    rules_ += fmt::format("{}: {}\n", name, body);
    return name;
  }

  std::string Json(const json::object& guided) { return Rule("%json " + json::serialize(guided)); }
  std::string Schema(const json::object& schema, bool strict) {
    return Json(GuidedSchema(schema, strict));
  }

  // Text up to a mark, with it.
  std::string TextUntil(std::string_view mark) {
    std::string name = fmt::format("r{}", count_++);
    if (const std::string term = Text(mark); term.starts_with('<')) {
      rules_ += fmt::format("{}: /(?s:.*)/ {}\n", name, term);
    } else {
      rules_ += fmt::format("{}[suffix={}]: /(?s:.*)/\n", name, QuotedJson(mark));
    }
    return name;
  }

  // The thinking that a reply begins in.
  std::string Thinking(bool in_thinking) {
    if (!in_thinking || dialect_.think_end.empty()) return "";
    return TextUntil(dialect_.think_end) + " /\\s*/ ";
  }

  std::string Take(const std::string& start) { return "start: " + start + "\n" + rules_; }

 private:
  struct Control {
    size_t at;
    TokenId token;
    size_t bytes;  // 0: none
  };
  Control FirstControl(std::string_view text) const {
    Control first{text.size(), 0, 0};
    for (const TokenId token : control_) {
      const std::string_view piece = tokenizer_.Piece(token);
      const size_t at = text.find(piece);
      if (at < first.at) first = {at, token, piece.size()};
    }
    return first;
  }

  const Dialect& dialect_;
  const Tokenizer& tokenizer_;
  const std::vector<TokenId> control_;  // marks that are tokens of their own
  std::string rules_;
  size_t count_ = 0;
};

// A tool's parameters, one by one.
struct Parameter {
  std::string name;
  json::object schema;
  bool required = false;
  bool text = false;  // a string of any kind
};

std::vector<Parameter> ParametersOf(const Tool& tool) {
  std::vector<Parameter> parameters;
  const json::value* properties = tool.parameters.if_contains("properties");
  if (properties == nullptr || !properties->is_object()) return parameters;
  const json::value* required = tool.parameters.if_contains("required");
  for (const auto& [name, value] : properties->get_object()) {
    Parameter parameter;
    parameter.name = name;
    if (const json::object* schema = value.if_object()) parameter.schema = *schema;
    for (const char* shared : {"$defs", "definitions"}) {
      const json::value* definitions = tool.parameters.if_contains(shared);
      if (definitions != nullptr) parameter.schema[shared] = *definitions;
    }
    parameter.text = tool.TakesText(name) && !parameter.schema.contains("enum") &&
                     !parameter.schema.contains("const") && !parameter.schema.contains("pattern");
    const json::array* names = required != nullptr ? required->if_array() : nullptr;
    parameter.required =
        names != nullptr &&
        std::ranges::any_of(*names, [&](const json::value& each) { return each == name; });
    parameters.push_back(std::move(parameter));
  }
  // What must be there first: what may be left out then always stands behind a comma.
  std::ranges::stable_partition(parameters, &Parameter::required);
  return parameters;
}

// How often a regular expression's character repeats for a text of the length that its schema
// wants; empty: any length.
std::string LengthOf(const json::object& schema) {
  const json::value* least = schema.if_contains("minLength");
  const json::value* most = schema.if_contains("maxLength");
  const auto number = [](const json::value* value) {
    return value != nullptr && value->is_int64() ? fmt::format("{}", value->get_int64()) : "";
  };
  if (number(least).empty() && number(most).empty()) return "";
  return fmt::format("{{{},{}}}", number(least).empty() ? "0" : number(least), number(most));
}

json::object ObjectSchema(const Tool& tool) {
  json::object schema = tool.parameters;
  if (!schema.contains("type") && !schema.contains("$ref") && !schema.contains("anyOf")) {
    schema["type"] = "object";
    if (!schema.contains("properties")) schema["properties"] = json::object();  // it takes nothing
  }
  return schema;
}

// key=value, … where the optional ones may be missing.
template <typename Item>
std::string Separated(Writer& writer, const std::vector<Parameter>& parameters,
                      std::string_view separator, Item item) {
  const std::string comma = QuotedJson(separator);
  std::string optional_rest;  // of those behind the one at hand, with commas
  std::string body;
  std::string alternatives;
  for (size_t i = parameters.size(); i-- > 0;) {
    const std::string term = writer.Rule(item(parameters[i]));
    if (parameters[i].required) {
      body = body.empty() ? fmt::format("{}{}", term, optional_rest)
                          : fmt::format("{} {} {}", term, comma, body);
    } else {
      alternatives += fmt::format("{}{}{}", alternatives.empty() ? "" : " | ", term, optional_rest);
      optional_rest = fmt::format(" ({} {})?{}", comma, term, optional_rest);
    }
  }
  if (!body.empty()) return writer.Rule(body);
  return alternatives.empty() ? "" : writer.Rule(fmt::format("({})?", alternatives));
}

// The texts of an enum, without quotes; empty: there are none.
std::string TextsOf(const json::object& schema) {
  std::string texts;
  const json::value* values = schema.if_contains("enum");
  const json::array* list = values != nullptr ? values->if_array() : nullptr;
  for (const json::value& each : list != nullptr ? *list : json::array()) {
    if (!each.is_string()) continue;
    if (!texts.empty()) texts += " | ";
    texts += json::serialize(each);
  }
  return texts;
}

// A value with its end mark: a text stands as it is, anything else as JSON.
std::string QwenCoderValue(Writer& writer, const Parameter& parameter, bool strict) {
  constexpr std::string_view kEnd = "\n</parameter>\n";
  const json::value* type = parameter.schema.if_contains("type");
  const bool is_text = type != nullptr && *type == "string";
  if (!is_text) return writer.Schema(parameter.schema, strict) + " " + writer.Text(kEnd);
  if (const std::string texts = TextsOf(parameter.schema); !texts.empty()) {
    return writer.Rule(texts) + " " + writer.Text(kEnd);
  }
  const std::string length = LengthOf(parameter.schema);
  if (length.empty()) return writer.TextUntil(kEnd);
  return writer.Rule(fmt::format(R"(/[^<\n]{}\n<\/parameter>\n/)", length));
}

std::string QwenCoderArguments(Writer& writer, const Tool& tool) {
  std::string body;
  for (const Parameter& parameter : ParametersOf(tool)) {
    const std::string name = writer.Text("<parameter=" + parameter.name + ">\n");
    const std::string value = QwenCoderValue(writer, parameter, tool.strict);
    body += fmt::format(" {}{}", writer.Rule(fmt::format("{} {}", name, value)),
                        parameter.required ? "" : "?");
  }
  return body;
}

std::string PythonicCall(Writer& writer, const Tool& tool) {
  const std::string arguments =
      Separated(writer, ParametersOf(tool), ", ", [&](const Parameter& parameter) {
        return QuotedJson(parameter.name + "=") + " " +
               writer.Schema(parameter.schema, tool.strict);
      });
  return QuotedJson(tool.name + "(") + " " + arguments + " \")\"";
}

std::string GemmaCall(Writer& writer, const Tool& tool) {
  const std::string arguments =
      Separated(writer, ParametersOf(tool), ",", [&](const Parameter& parameter) {
        const std::string key = QuotedJson(parameter.name + ":") + " ";
        if (!parameter.text) return key + writer.Schema(parameter.schema, tool.strict);
        const std::string escape = writer.Text(marks::kGemmaEscape);
        const std::string length = LengthOf(parameter.schema);
        return fmt::format("{}{} /[^<]{}/ {}", key, escape, length.empty() ? "*" : length, escape);
      });
  return writer.Text(std::string(marks::kGemmaCall) + "call:" + tool.name + "{") + " " + arguments +
         " \"}\" " + writer.Text(marks::kGemmaCallEnd);
}

// One call; what stands around all of them is CallGrammar's.
std::string CallOf(Writer& writer, ToolFormat format, const Tool& tool) {
  const auto with_arguments = [&](const std::string& before, const std::string& after) {
    const std::string arguments = writer.Schema(ObjectSchema(tool), tool.strict);
    return writer.Text(before) + " " + arguments + (after.empty() ? "" : " ") + writer.Text(after);
  };
  const std::string name = QuotedJson(tool.name);
  switch (format) {
    case ToolFormat::kHermes:
      return with_arguments("<tool_call>\n{\"name\": " + name + ", \"arguments\": ",
                            "}\n</tool_call>");
    case ToolFormat::kQwenCoder:
      return writer.Text("<tool_call>\n<function=" + tool.name + ">\n") +
             QwenCoderArguments(writer, tool) + " " + writer.Text("</function>\n</tool_call>");
    case ToolFormat::kLlama:
      return with_arguments("{\"name\": " + name + ", \"parameters\": ", "}");
    case ToolFormat::kPythonic:
      return PythonicCall(writer, tool);
    case ToolFormat::kMistral:
      return with_arguments("{\"name\": " + name + ", \"arguments\": ", "}");
    case ToolFormat::kMistralNamed:
      return with_arguments("[TOOL_CALLS]" + tool.name + "[ARGS]", "");
    case ToolFormat::kDeepSeek:
      return with_arguments(
          fmt::format("{}{}{}", marks::kDeepSeekCall, tool.name, marks::kDeepSeekSeparator),
          std::string(marks::kDeepSeekCallEnd));
    case ToolFormat::kDeepSeekFenced:
      return with_arguments(fmt::format("{}function{}{}\n```json\n", marks::kDeepSeekCall,
                                        marks::kDeepSeekSeparator, tool.name),
                            fmt::format("\n```{}", marks::kDeepSeekCallEnd));
    case ToolFormat::kKimi:
      return writer.Text(fmt::format("{}functions.{}:", marks::kKimiCall, tool.name)) +
             " /[0-9]{1,3}/ " +
             with_arguments(std::string(marks::kKimiArguments), std::string(marks::kKimiCallEnd));
    case ToolFormat::kFunctionGemma:
      return GemmaCall(writer, tool);
    case ToolFormat::kHarmony:
      return with_arguments(fmt::format("{}commentary to=functions.{} {}json{}", marks::kChannel,
                                        tool.name, marks::kConstrain, marks::kMessage),
                            "");
  }
  return "";
}

// What stands around the calls, and between two.
struct Around {
  std::string_view before, between, after;
};

Around AroundOf(ToolFormat format) {
  switch (format) {
    case ToolFormat::kHermes:
    case ToolFormat::kQwenCoder:
      return {"", "\n", ""};
    case ToolFormat::kLlama:
      return {"", "; ", ""};
    case ToolFormat::kPythonic:
      return {"[", ", ", "]"};
    case ToolFormat::kMistral:
      return {"[TOOL_CALLS][", ", ", "]"};
    case ToolFormat::kDeepSeek:
      return {marks::kDeepSeekCalls, "", marks::kDeepSeekCallsEnd};
    case ToolFormat::kDeepSeekFenced:
      return {marks::kDeepSeekCalls, "\n", marks::kDeepSeekCallsEnd};
    case ToolFormat::kKimi:
      return {marks::kKimiCalls, "", marks::kKimiCallsEnd};
    default:
      return {};
  }
}

std::string Calls(Writer& writer, ToolFormat format, const ReplyForm& form) {
  std::string alternatives;
  for (const Tool& tool : form.tools) {
    alternatives += (alternatives.empty() ? "" : " | ") + writer.Rule(CallOf(writer, format, tool));
  }
  const std::string call = writer.Rule(alternatives);
  const Around around = AroundOf(format);
  std::string calls = writer.Text(around.before) + " " + call;
  if (form.parallel && format != ToolFormat::kHarmony) {
    calls += fmt::format(" ({} {})*", writer.Text(around.between), call);
  }
  return writer.Rule(calls + " " + writer.Text(around.after));
}

}  // namespace

json::object GuidedSchema(const json::object& schema, bool strict) {
  json::value guided = schema;
  DropUnknownFormats(guided);
  CloseObjects(guided);
  guided.get_object()["x-guidance"] = {{"whitespace_flexible", false},
                                       {"item_separator", ", "},
                                       {"key_separator", ": "},
                                       {"json_allowed_escapes", "nrtbf\\\""},
                                       {"lenient", !strict}};
  return guided.get_object();
}

std::string ReplyGrammar(const Dialect& dialect, const ReplyForm& form,
                         const Tokenizer& tokenizer) {
  Writer writer(dialect, tokenizer);
  std::vector<std::string> forms;
  if (!form.tools.empty()) forms.push_back(Calls(writer, dialect.tools, form));
  if (form.schema) forms.push_back(writer.Json(*form.schema));
  std::string either = forms.front();
  if (forms.size() > 1) either += " | " + forms.back();
  return writer.Take(writer.Thinking(form.in_thinking) + writer.Rule(either));
}

}  // namespace reprise
