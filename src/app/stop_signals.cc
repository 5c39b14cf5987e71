#include "app/stop_signals.h"

#include <pthread.h>
#include <unistd.h>

#include <thread>
#include <utility>

#include "base/log.h"

namespace reprise {
namespace {

// SIGINT or SIGTERM; SIGHUP only reloads.
int AwaitStopSignal(const sigset_t& signals, const std::function<void()>& reload) {
  for (;;) {
    int which = 0;
    sigwait(&signals, &which);
    if (which != SIGHUP) return which;
    reload();
  }
}

}  // namespace

sigset_t BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return signals;
}

void AwaitStop(const sigset_t& signals, const std::function<void()>& reload) {
  const int which = AwaitStopSignal(signals, reload);
  LogInfo("stopping ({})", which == SIGINT ? "interrupted" : "terminated");
  // A second signal means it: no more waiting.
  std::thread([signals] {
    AwaitStopSignal(signals, [] {});
    _exit(130);
  }).detach();
}

void ReloadKeys(const std::string& file, const std::function<void(ApiKeys)>& replace) {
  if (file.empty()) {
    LogInfo("SIGHUP: there is no file of keys to read again (--api-keys)");
    return;
  }
  Result<ApiKeys> keys = ApiKeys::Read(file);
  if (!keys) {
    LogWarning("the keys before stay: {}", keys.error().message);
    return;
  }
  const size_t count = keys->size();
  replace(*std::move(keys));
  LogInfo("keys read again from {}: {} in all", file, count);
}

}  // namespace reprise
