#pragma once

// A router, without a model, before servers that a test plays.

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "fixtures/test_client.h"
#include "played_upstream.h"
#include "router/router.h"

namespace reprise {

class RouterTest : public ::testing::Test {
 protected:
  RouterTest() { SetLogLevel(LogLevel::kOff); }

  PlayedUpstream& Play(PlayedUpstream::Answer answer) {
    upstreams_.push_back(std::make_unique<PlayedUpstream>(std::move(answer)));
    return *upstreams_.back();
  }
  void Start(RouterOptions options = {}) {
    options.port = 0;
    for (const auto& upstream : upstreams_) {
      options.replicas.push_back({"127.0.0.1", static_cast<uint16_t>(upstream->port())});
    }
    router_ = Router::Start(std::move(options)).value();
  }
  HttpReply Ask(std::string_view bytes) {
    TestClient client(router_->port());
    client.Send(bytes);
    return client.Read();
  }
  HttpReply Chat(std::string_view path = "/v1/chat/completions") {
    return Ask(PostBytes(path, "{}"));
  }
  // Waits for what will be; false after a minute.
  static bool Until(const std::function<bool()>& is) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!is()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
  }

  std::vector<std::unique_ptr<PlayedUpstream>> upstreams_;
  std::unique_ptr<Router> router_;  // last: it goes first
};

}  // namespace reprise
