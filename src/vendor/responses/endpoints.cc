#include "vendor/responses/endpoints.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/limits.h"
#include "vendor/openai/caching.h"
#include "vendor/openai/conversation.h"
#include "vendor/openai/form.h"
#include "vendor/openai/parameters.h"
#include "vendor/openai/too_long.h"
#include "vendor/responses/fields.h"
#include "vendor/responses/input.h"
#include "vendor/responses/reply.h"

namespace reprise {
namespace json = boost::json;
namespace {

// Items of the response that the client goes on from.
json::array PreviousItems(FieldReader& fields, const ServedModel& model,
                          const std::string& tenant) {
  const std::string id(fields.String("previous_response_id").value_or(""));
  if (id.empty()) return {};
  const auto stored = model.responses != nullptr ? model.responses->Find(tenant, id) : nullptr;
  if (stored == nullptr) {
    fields.Refuse(ErrorCode::kInvalidArgument, "previous_response_id",
                  fmt::format("Previous response with id '{}' not found: it was not stored, or is "
                              "kept no longer.",
                              id));
    return {};
  }
  return ParseJson(stored->items)->as_array();  // as deep as it came
}

// {"effort", "summary"}
void ReadReasoning(FieldReader& fields, json::object& arguments) {
  const json::object* reasoning = fields.Object("reasoning");
  if (reasoning == nullptr) return;
  FieldReader entries(*reasoning, "reasoning");
  AddEffort(entries.String("effort"), arguments);
  fields.Adopt(entries.status());
}

WantedForm ReadForm(FieldReader& fields) {
  WantedForm wanted;
  wanted.parallel = fields.Bool("parallel_tool_calls");
  ReadToolChoice(fields, wanted);
  const json::object* text = fields.Object("text");
  const json::value* format = text != nullptr ? text->if_contains("format") : nullptr;
  if (format == nullptr || format->is_null()) return wanted;
  if (!format->is_object()) {
    fields.Refuse(ErrorCode::kInvalidArgument, "text.format", "'text.format' must be an object.");
    return wanted;
  }
  FieldReader entries(format->get_object(), "text.format");
  ReadResponseFormat(entries, /*wrapped=*/false, wanted);
  fields.Adopt(entries.status());
  return wanted;
}

bool Includes(FieldReader& fields, std::string_view name) {
  const json::array* list = fields.Array("include", limits::kMaxMessages);
  return list != nullptr && std::ranges::any_of(*list, [&](const json::value& each) {
           return each.is_string() && std::string_view(each.get_string()) == name;
         });
}

// What the response says again of the request.
json::object Echo(const json::object& body, bool store) {
  const json::object defaults = {{"instructions", nullptr},
                                 {"max_output_tokens", nullptr},
                                 {"metadata", json::object()},
                                 {"parallel_tool_calls", true},
                                 {"previous_response_id", nullptr},
                                 {"reasoning", {{"effort", nullptr}, {"summary", nullptr}}},
                                 {"temperature", 1.0},
                                 {"text", {{"format", {{"type", "text"}}}}},
                                 {"tool_choice", "auto"},
                                 {"tools", json::array()},
                                 {"top_p", 1.0},
                                 {"truncation", "disabled"},
                                 {"user", nullptr}};
  json::object echo;
  for (const auto& [key, value] : defaults) {
    const json::value* asked = body.if_contains(key);
    echo[key] = asked != nullptr && !asked->is_null() ? *asked : value;
  }
  echo["service_tier"] = "default";
  echo["store"] = store;
  return echo;
}

class Reading {
 public:
  Reading(const json::object& body, const Caller& caller, const ServedModel& model)
      : body_(body),
        model_(model),
        call_(BeginCall(caller)),
        fields_(body, ""),
        rules_(model.policy) {}

  Result<Call> Read() {
    call_.ignored = ApplyFieldRules(kResponsesFields, fields_);
    call_.model_name = ReadModelName(fields_, model_);
    call_.parameters.max_tokens = model_.default_max_tokens;
    ReadParameters(fields_, model_.vocabulary, call_.parameters);
    call_.parameters.choices = 1;
    if (const auto most = fields_.Integer("max_output_tokens", 1, limits::kMaxContext)) {
      call_.parameters.max_tokens = static_cast<int>(*most);
    }
    caching_ = ReadOpenAiCaching(fields_, model_.policy, rules_);
    if (fields_.ok()) fields_.Adopt(ReadPrompt());
    fields_.Adopt(rules_.status());
    ApplyCaching(caching_, model_, call_);
    if (fields_.ok()) fields_.Adopt(CheckPrompts(call_, model_, {"input", TooLongForOpenAi}));
    if (!fields_.ok()) return std::unexpected(fields_.status().error());
    call_.warning = rules_.warning();
    return std::move(call_);
  }

 private:
  Status ReadPrompt() {
    json::array items = PreviousItems(fields_, model_, call_.tenant);
    const size_t first = items.size();
    for (json::value& item : ItemsOfInput(fields_)) items.push_back(std::move(item));
    json::object chat;
    chat["messages"] = MessagesOfItems(fields_, items, first);
    chat["tools"] = ChatTools(fields_, call_.ignored);
    if (const json::object* arguments = fields_.Object("chat_template_kwargs")) {
      chat["chat_template_kwargs"] = *arguments;
    }
    WantedForm wanted = ReadForm(fields_);
    if (!fields_.ok()) return fields_.status();
    Result<Conversation> conversation = ReadOpenAiConversation(chat, caching_.ttl, rules_);
    if (!conversation) return std::unexpected(std::move(conversation).error());
    ReadReasoning(fields_, conversation->arguments);
    const bool store = model_.responses != nullptr &&
                       model_.responses->lifetime() > Duration::zero() &&
                       fields_.Bool("store").value_or(true);
    if (store && caching_.keep.value_or(Duration::zero()) < model_.responses->lifetime()) {
      // So that what goes on from it finds it.
      caching_.keep = model_.responses->lifetime();
    }
    KeepLatestMarks(caching_, conversation->marks);
    if (!fields_.ok()) return fields_.status();
    if (Status added = AddPrompt(*conversation, model_, call_); !added) return added;
    auto plan = std::make_shared<ResponsePlan>();
    plan->echo = Echo(body_, store);
    plan->seal_thinking = Includes(fields_, "reasoning.encrypted_content");
    if (store) {
      plan->store = model_.responses;
      plan->items = json::serialize(items);
      call_.keep_reply = model_.responses->lifetime();
    }
    plan->tenant = call_.tenant;
    call_.response_plan = std::move(plan);
    return ApplyForm(std::move(wanted), conversation->tools, model_, call_);
  }

  const json::object& body_;
  const ServedModel& model_;
  Call call_;
  FieldReader fields_;
  MarkerRules rules_;
  OpenAiCaching caching_;
};

Result<Call> ReadResponsesCall(std::string_view body, const Caller& caller,
                               const ServedModel& model) {
  const Result<json::object> object = ParseJsonObject(body);
  if (!object) return std::unexpected(object.error());
  return Reading(*object, caller, model).Read();
}

std::unique_ptr<const ReplyFormat> FormatResponses(ReplyLabel label, const Call& call,
                                                   const ServedModel& /*model*/) {
  return std::make_unique<ResponsesReply>(std::move(label), call.response_plan);
}

}  // namespace

const WireEndpoint kResponses = {"/v1/responses", "resp_", "call_", ReadResponsesCall,
                                 FormatResponses};

}  // namespace reprise
