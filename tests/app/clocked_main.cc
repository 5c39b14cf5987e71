// The program as it is, all commands and options, but lifetimes run on a clock that stands still
// until a test moves it:
//
//   POST /test/clock {"advance_ms": 300000}  →  {"now_ms": 300000}
//
// Requests sent after the answer find the cache as of then. Sockets keep to real time. The ordinary
// program has no such page.

#include <fmt/format.h>

#include <boost/json.hpp>
#include <chrono>

#include "app/command_line.h"
#include "base/clock.h"
#include "vendor/json_reader.h"

namespace reprise {
namespace {

constexpr int64_t kLongestStepMs = int64_t{1000} * 3600 * 24 * 365;

Result<std::string> Advance(ManualClock& clock, Engine& engine, const std::string& body) {
  const Result<boost::json::object> request = ParseJsonObject(body);
  if (!request) return std::unexpected(request.error());
  FieldReader fields(*request, "");
  const auto advance_ms = fields.Integer("advance_ms", 0, kLongestStepMs).value_or(0);
  if (!fields.ok()) return std::unexpected(fields.status().error());
  clock.Advance(std::chrono::milliseconds(advance_ms));
  engine.Wake();
  const auto now = clock.Now().time_since_epoch();
  return fmt::format("{{\"now_ms\":{}}}",
                     std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

}  // namespace
}  // namespace reprise

int main(int argc, char** argv) {
  using namespace reprise;
  ManualClock clock;
  ServeOptions serve;
  serve.clock = &clock;
  serve.server.extra_pages.push_back(
      {"POST", "/test/clock",
       [&clock](Engine& engine, const std::string& body) { return Advance(clock, engine, body); }});
  return RunCommandLine(argc, argv, std::move(serve));
}
