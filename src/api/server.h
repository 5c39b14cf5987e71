#pragma once

// The HTTP server: OpenAI's chat and text completions, Anthropic's messages, models, and the
// administration pages, over one Engine. It owns sockets and threads; it does not own the engine,
// and never touches model or cache.
//
// One I/O thread runs every connection as a coroutine; worker threads read bodies, render and
// tokenise, so that a long prompt does not stall running streams. The engine reports from its own
// thread into mailboxes. Start, ReplaceKeys, Stop and port may be called from any one thread.

#include <memory>

#include "api/server_options.h"
#include "base/clock.h"
#include "base/error.h"
#include "engine/engine.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace reprise {

class Server {
 public:
  // Binds, listens and starts the threads. kIo when the address is taken or not ours. `tmpl` may be
  // null: then chat completions are refused with a sentence. REQUIRES: engine outlives the server.
  static Result<std::unique_ptr<Server>> Start(Engine& engine,
                                               std::shared_ptr<const Tokenizer> tokenizer,
                                               std::shared_ptr<const ChatTemplate> tmpl,
                                               ServerOptions options);
  ~Server();  // stops
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  int port() const;
  // When this returns, requests whose header is not complete yet are judged by these keys. What is
  // being answered is answered to its end. REQUIRES: not stopped.
  void ReplaceKeys(ApiKeys keys);
  // Tells who follows it that the server is stopping, then what waits and what comes meanwhile
  // (503, or an error event), lets what the engine has taken up go on for `drain`, tells the rest
  // of it the same, and joins the threads: after it nothing touches the engine. Idempotent.
  void Stop(Duration drain = Duration::zero());

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace reprise
