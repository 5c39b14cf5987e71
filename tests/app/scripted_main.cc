// The program as it is, but what its model replies in conversations a test has written beforehand:
//
//   POST /test/script {"replies": ["text", …], "for_tools": true}  →  {"waiting": 2}
//
// adds replies, of which each next choice of a conversation takes one, `for_tools` of one that has
// tools; see reply_script.h. Where none waits the model replies by itself. The ordinary program has
// no such page.

#include <fmt/format.h>

#include <boost/json.hpp>

#include "app/command_line.h"
#include "base/limits.h"
#include "reply_script.h"
#include "vendor/json_reader.h"

namespace reprise {
namespace {

Result<std::string> AddReplies(ReplyScript& script, const std::string& body) {
  const Result<boost::json::object> request = ParseJsonObject(body);
  if (!request) return std::unexpected(request.error());
  FieldReader fields(*request, "");
  const boost::json::array* replies = fields.Array("replies", limits::kMaxMessages);
  const bool for_tools = fields.Bool("for_tools").value_or(false);
  if (!fields.ok()) return std::unexpected(fields.status().error());
  for (const auto& reply : replies != nullptr ? *replies : boost::json::array()) {
    if (!reply.is_string()) return Fail(ErrorCode::kInvalidArgument, "'replies' holds strings.");
    script.Add(std::string(std::string_view(reply.get_string())), for_tools);
  }
  return fmt::format("{{\"waiting\":{}}}", script.size());
}

}  // namespace
}  // namespace reprise

int main(int argc, char** argv) {
  using namespace reprise;
  ReplyScript script;
  ServeOptions serve;
  serve.server.extra_pages.push_back(
      {"POST", "/test/script",
       [&script](Engine&, const std::string& body) { return AddReplies(script, body); }});
  serve.server.before_submit = [&script](const Call& call, const Tokenizer& tokenizer,
                                         GenerationRequest& request) {
    script.Apply(call.tools != nullptr, tokenizer, request);
  };
  return RunCommandLine(argc, argv, std::move(serve));
}
