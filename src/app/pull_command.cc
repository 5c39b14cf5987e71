#include "app/pull_command.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <utility>

#include "app/load.h"
#include "base/clock.h"
#include "base/log.h"
#include "hub/model_choice.h"

namespace reprise {
namespace {

// While it lives, SIGINT and SIGTERM are noticed instead of ending the process, the first time; and
// a file that may not grow is an error of write.
class StopSignals {
 public:
  StopSignals() {
    noticed_ = false;
    struct sigaction action {};
    action.sa_handler = [](int) { noticed_ = true; };
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    for (size_t i = 0; i < kStopping.size(); ++i) sigaction(kStopping[i], &action, &before_[i]);
    action.sa_handler = SIG_IGN;
    action.sa_flags = 0;
    sigaction(SIGXFSZ, &action, &size_before_);
  }
  ~StopSignals() {
    for (size_t i = 0; i < kStopping.size(); ++i) sigaction(kStopping[i], &before_[i], nullptr);
    sigaction(SIGXFSZ, &size_before_, nullptr);
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  static bool noticed() { return noticed_; }

 private:
  static constexpr std::array kStopping = {SIGINT, SIGTERM};
  static inline std::atomic<bool> noticed_ = false;
  std::array<struct sigaction, 2> before_{};
  struct sigaction size_before_ {};
};

}  // namespace

Result<PulledModel> PullFromHub(const std::string& model, PullOptions::Prefer prefer) {
  const Result<ModelReference> reference = ParseModelReference(model);
  if (!reference) return std::unexpected(reference.error());
  Result<HubSettings> settings = ReadHubSettings();
  if (!settings) return std::unexpected(settings.error());
  const SystemClock clock;
  const StopSignals signals;
  const auto say = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
  };
  Result<PulledModel> pulled = PullModel(*reference, {.settings = *std::move(settings),
                                                      .prefer = prefer,
                                                      .clock = &clock,
                                                      .terminal = isatty(STDERR_FILENO) != 0,
                                                      .say = say,
                                                      .stopped = StopSignals::noticed});
  if (!pulled && pulled.error().code == ErrorCode::kCancelled) {
    return Fail(ErrorCode::kCancelled,
                "stopped; what was fetched is kept, and the same command goes on from there");
  }
  return pulled;
}

int RunPull(const PullCommand& command) {
  const auto pulled = PullFromHub(command.model, PullOptions::Prefer::kNewest);
  if (!pulled) return Complain(pulled.error());
  fmt::print(
      stderr, "{}\n",
      pulled->came_bytes > 0
          ? fmt::format("{} fetched and compared with their checksum", SizeText(pulled->came_bytes))
          : fmt::format("{}, all of it there already", SizeText(pulled->bytes)));
  fmt::print("{}\n", pulled->path);
  return 0;
}

}  // namespace reprise
