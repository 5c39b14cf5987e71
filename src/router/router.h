#pragma once

// The router: a proxy before replicas of `reprise serve`, or of other engines, for both vendors'
// APIs. It owns sockets and threads, no model.
//
// One I/O thread runs every connection as a coroutine and takes all decisions; worker threads read
// bodies and make prompts of them. Start, ReplaceKeys, Stop and port may be called from any one
// thread.

#include <memory>

#include "base/clock.h"
#include "base/error.h"
#include "http/api_keys.h"
#include "router/router_options.h"

namespace reprise {

class Router {
 public:
  // Binds, listens and starts the threads. kIo when the address is taken or not ours.
  static Result<std::unique_ptr<Router>> Start(RouterOptions options);
  ~Router();  // stops
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;

  int port() const;
  // When this returns, requests whose header is not complete yet are judged by these keys.
  void ReplaceKeys(ApiKeys keys);
  // Accepts nothing more, tells what waits that the router is stopping, lets what is being passed
  // on go on for `drain`, ends the rest of it with an error event, and joins the threads.
  // Idempotent.
  void Stop(Duration drain = Duration::zero());

 private:
  struct Impl;
  explicit Router(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace reprise
