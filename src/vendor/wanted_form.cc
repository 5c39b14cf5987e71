#include "vendor/wanted_form.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

#include "base/limits.h"
#include "dialect/call_grammar.h"
#include "dialect/gbnf.h"
#include "vendor/schema_fault.h"

namespace reprise {
namespace json = boost::json;
namespace {

// Whether the prompt ends with the mark that begins thinking.
bool EndsInThinking(const Call& call, const ServedModel& model) {
  constexpr size_t kTail = 32;  // tokens of the mark and white space
  const std::string& mark = model.dialect.think_begin;
  if (mark.empty() || call.prompts.empty()) return false;
  const std::vector<TokenId>& prompt = call.prompts.front();
  const size_t first = prompt.size() - std::min(prompt.size(), kTail);
  std::string tail = model.tokenizer->Decode(
      {prompt.begin() + static_cast<std::ptrdiff_t>(first), prompt.end()}, /*with_control=*/true);
  tail.erase(tail.find_last_not_of(" \t\r\n") + 1);
  return tail.ends_with(mark);
}

Status Compile(const GrammarSource& source, size_t most_bytes, const std::string& field,
               const ServedModel& model, Call& call) {
  if (model.prompts_only) return {};
  if (model.grammars == nullptr) {
    return Fail(ErrorCode::kUnsupported,
                "This model's vocabulary has no token that ends a reply, so replies cannot be held "
                "to a form.",
                field);
  }
  if (source.text.size() > most_bytes) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("'{}' is longer than {} bytes.", field, most_bytes), field);
  }
  Result<std::shared_ptr<const Grammar>> grammar = model.grammars->Compile(source);
  if (!grammar) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("'{}' cannot be compiled: {}", field, grammar.error().message), field);
  }
  if (!(*grammar)->ignored().empty()) {
    NoteIgnored(fmt::format("{}: {}", field, (*grammar)->ignored()), call.ignored);
  }
  call.grammar = std::move(*grammar);
  return {};
}

Status CompileSchema(const json::object& guided, const std::string& field, const ServedModel& model,
                     Call& call) {
  const GrammarSource source = {GrammarSource::Kind::kSchema, json::serialize(guided)};
  Status compiled = Compile(source, limits::kMaxFormBytes, field, model, call);
  if (compiled || model.grammars == nullptr || source.text.size() > limits::kMaxFormBytes) {
    return compiled;
  }
  const std::string place = PlaceOfFault(guided, *model.grammars);
  if (!place.empty()) compiled.error().message += fmt::format(" (at {})", place);
  return compiled;
}

// Compiles all, and says which of its parts it is that cannot be compiled.
Status CompileForm(const WantedForm& wanted, ReplyForm form, const ServedModel& model, Call& call) {
  if (model.prompts_only) return {};
  if (form.schema) {
    // By itself, for a fault that is its own.
    const Status alone = CompileSchema(*form.schema, wanted.schema->field, model, call);
    if (!alone || (form.tools.empty() && !form.in_thinking)) return alone;
  }
  const std::string source = ReplyGrammar(model.dialect, form, *model.tokenizer);
  const Status whole = Compile({GrammarSource::Kind::kLark, source}, limits::kMaxFormBytes,
                               wanted.choice_field, model, call);
  if (whole) return whole;
  for (const Tool& tool : form.tools) {
    const Status alone =
        CompileSchema(GuidedSchema(tool.parameters, tool.strict),
                      fmt::format("tools: the parameters of {}", tool.name), model, call);
    if (!alone) return alone;
  }
  return whole;
}

Result<std::vector<Tool>> AllowedTools(const WantedForm& wanted, const ToolSet& tools) {
  if (wanted.allowed.empty()) return tools.tools();
  std::vector<Tool> allowed;
  for (const std::string& name : wanted.allowed) {
    const Tool* tool = tools.Find(name);
    if (tool == nullptr) {
      return Fail(ErrorCode::kInvalidArgument,
                  fmt::format("'{}' names the tool '{}', which is not among 'tools'.",
                              wanted.choice_field, name),
                  wanted.choice_field);
    }
    allowed.push_back(*tool);
  }
  return allowed;
}

Status RefuseTwo(const WantedForm& wanted, const std::string& field) {
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("'{}' and '{}' both say what the reply is; only one can.", field,
                          wanted.grammar->field),
              field);
}

}  // namespace

Status ApplyForm(WantedForm wanted, const json::array& tools, const ServedModel& model,
                 Call& call) {
  using Calls = WantedForm::Calls;
  const ToolSet set(tools);
  const bool forced = wanted.calls == Calls::kForced;
  if (forced && set.empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("'{}' wants a call, but there are no 'tools'.", wanted.choice_field),
                wanted.choice_field);
  }
  Result<std::vector<Tool>> allowed = AllowedTools(wanted, set);
  if (!allowed) return std::unexpected(std::move(allowed).error());

  call.reads_reply = true;
  call.in_thinking = EndsInThinking(call, model);
  call.thinking_budget = wanted.thinking_tokens;
  if (!set.empty() && wanted.calls != Calls::kNone) {
    call.tools = std::make_shared<const ToolSet>(*allowed);
  }
  if (wanted.grammar) {
    if (forced) return RefuseTwo(wanted, wanted.choice_field);
    return ApplyGrammar(wanted, model, call);
  }
  ReplyForm form{.parallel = wanted.parallel.value_or(!forced), .in_thinking = call.in_thinking};
  if (call.tools != nullptr && (forced || wanted.schema)) form.tools = std::move(*allowed);
  if (wanted.schema && !forced) {
    form.schema = GuidedSchema(wanted.schema->schema, wanted.schema->strict);
  }
  if (form.tools.empty() && !form.schema) return {};
  return CompileForm(wanted, std::move(form), model, call);
}

Status ApplyGrammar(const WantedForm& wanted, const ServedModel& model, Call& call) {
  if (wanted.schema) {
    if (wanted.grammar) return RefuseTwo(wanted, wanted.schema->field);
    return CompileSchema(GuidedSchema(wanted.schema->schema, wanted.schema->strict),
                         wanted.schema->field, model, call);
  }
  if (!wanted.grammar) return {};
  return Compile(wanted.grammar->source, limits::kMaxGrammarBytes, wanted.grammar->field, model,
                 call);
}

namespace {

GrammarSource SourceOfGrammar(FieldReader& fields, std::string_view name, std::string_view text) {
  if (!IsGbnf(text)) return {GrammarSource::Kind::kLark, std::string(text)};
  Result<std::string> lark = LarkOfGbnf(text);
  if (!lark) {
    fields.Refuse(ErrorCode::kInvalidArgument, name,
                  fmt::format("'{}' cannot be compiled: {}", name, lark.error().message));
    return {};
  }
  return {GrammarSource::Kind::kLark, std::move(*lark)};
}

// ["a", "b"] as a grammar.
GrammarSource SourceOfChoices(FieldReader& fields, std::string_view name) {
  std::string alternatives;
  const json::array* choices = fields.Array(name, limits::kMaxMessages);
  for (const json::value& choice : choices != nullptr ? *choices : json::array()) {
    if (!choice.is_string()) {
      fields.Refuse(ErrorCode::kInvalidArgument, name,
                    fmt::format("'{}' must be an array of strings.", name));
      return {};
    }
    alternatives += fmt::format("{}{}", alternatives.empty() ? "" : " | ", json::serialize(choice));
  }
  return {GrammarSource::Kind::kLark, "start: " + alternatives};
}

}  // namespace

void ReadGrammarFields(FieldReader& fields, WantedForm& wanted) {
  const auto set = [&](std::string_view name, GrammarSource source) {
    if (!fields.ok()) return;
    if (wanted.grammar) fields.Adopt(RefuseTwo(wanted, std::string(name)));
    wanted.grammar = {std::move(source), std::string(name)};
  };
  for (const char* name : {"grammar", "guided_grammar"}) {
    const auto text = fields.String(name);
    if (text && !text->empty()) set(name, SourceOfGrammar(fields, name, *text));
  }
  for (const char* name : {"regex", "guided_regex"}) {
    const auto text = fields.String(name);
    if (text && !text->empty()) set(name, {GrammarSource::Kind::kRegex, std::string(*text)});
  }
  if (const json::array* list = fields.Array("guided_choice", limits::kMaxMessages)) {
    if (!list->empty()) set("guided_choice", SourceOfChoices(fields, "guided_choice"));
  }
  for (const char* name : {"json_schema", "guided_json"}) {
    const json::object* schema = fields.Object(name);
    if (schema == nullptr) continue;
    if (wanted.schema) {
      fields.Refuse(ErrorCode::kInvalidArgument, name,
                    fmt::format("'{}' and '{}' both say what the reply is; only one can.", name,
                                wanted.schema->field));
    }
    wanted.schema = {*schema, false, name};
  }
}

}  // namespace reprise
