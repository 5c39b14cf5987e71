#include "prompt/template_traits.h"

#include <boost/json.hpp>
#include <string_view>
#include <utility>

namespace reprise {
namespace json = boost::json;

namespace {

template <typename Render>
bool ShowsContentAsWritten(const Render& render, const json::object& user, bool tool_role) {
  constexpr std::string_view kWritten = "qzxwritten {\"a\": 1}";
  const json::object written = {{"role", "assistant"}, {"content", kWritten}};
  const json::object result = {{"role", tool_role ? "tool" : "user"},
                               {"tool_call_id", "call_0001"},
                               {"name", "probe"},
                               {"content", "r"}};
  const json::object answer = {{"role", "assistant"}, {"content", "a"}};
  const Result<std::string> begun = render({user}, {});
  const Result<std::string> after = render({user, written, result, answer, user}, {});
  const Result<std::string> open = render({user, written, result}, {});
  if (!begun || !after || !open) return false;
  const std::string wanted = *begun + std::string(kWritten);
  return after->starts_with(wanted) && open->starts_with(wanted);
}

}  // namespace

TemplateTraits DetectTraits(const ChatTemplate& chat_template, const std::string& bos_token,
                            const std::string& eos_token) {
  constexpr std::string_view kResult = "qzxresult";  // no template contains it
  const auto render = [&](json::array messages, json::array tools) {
    json::object context = {{"messages", std::move(messages)},
                            {"add_generation_prompt", true},
                            {"bos_token", bos_token},
                            {"eos_token", eos_token}};
    if (!tools.empty()) context["tools"] = std::move(tools);
    return chat_template.Render(json::serialize(context));
  };
  // Whether the first rendering works and says something that the second does not.
  const auto adds = [](const Result<std::string>& with, const Result<std::string>& without) {
    return with && (!without || *with != *without);
  };
  const json::array tools = {
      {{"type", "function"},
       {"function",
        {{"name", "probe"},
         {"description", "d"},
         {"parameters", {{"type", "object"}, {"properties", json::object()}}}}}}};
  const json::object system = {{"role", "system"}, {"content", "s"}};
  const json::object user = {{"role", "user"}, {"content", "u"}};
  // Some templates insist on ids of nine characters.
  const json::object call = {
      {"role", "assistant"},
      {"content", ""},
      {"tool_calls",
       json::array{{{"id", "call_0001"},
                    {"type", "function"},
                    {"function", {{"name", "probe"}, {"arguments", json::object()}}}}}}};
  const json::object result = {
      {"role", "tool"}, {"tool_call_id", "call_0001"}, {"name", "probe"}, {"content", kResult}};
  const json::object silent = {{"role", "assistant"}, {"content", ""}};
  TemplateTraits traits;
  traits.tools = adds(render({user}, tools), render({user}, {})) ||
                 adds(render({system, user}, tools), render({system, user}, {}));
  traits.tool_calls = adds(render({user, call}, {}), render({user, silent}, {})) ||
                      adds(render({user, call, result}, {}), render({user, silent, result}, {}));
  const Result<std::string> answered = render({user, call, result}, {});
  traits.tool_role = answered && answered->find(kResult) != std::string::npos;
  traits.content_as_written = ShowsContentAsWritten(render, user, traits.tool_role);
  json::object long_call = call;
  long_call["tool_calls"].as_array()[0].as_object()["id"] = "call_0123456789";
  traits.nine_letter_ids = render({user, call}, {}) && !render({user, long_call}, {});
  return traits;
}

}  // namespace reprise
