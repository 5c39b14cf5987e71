#pragma once

// The server on a free port of its own, over an engine that the test plays.

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "api/server.h"
#include "base/log.h"
#include "fake_engine.h"
#include "test_client.h"
#include "test_model.h"

namespace reprise {

class PlayedServerTest : public ::testing::Test {
 protected:
  PlayedServerTest() {
    SetLogLevel(LogLevel::kError);
    ServerOptions options;
    options.port = 0;
    options.model_name = "tiny";
    options.expose_logits_checksum = true;
    auto started = Server::Start(engine_, model_.tokenizer, model_.chat_template, options);
    EXPECT_TRUE(started);
    server_ = std::move(*started);
  }

  const ServedModel model_ = TestModel();
  FakeEngine engine_{model_.vocabulary};
  std::unique_ptr<Server> server_;
};

}  // namespace reprise
