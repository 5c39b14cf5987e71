#pragma once

// The HTTP server: OpenAI's chat and text completions, Anthropic's messages, models, and the
// administration pages, over one Engine. It owns sockets and threads; it does not own the engine,
// and never touches model or cache.
//
// One I/O thread runs every connection as a coroutine; one worker thread reads bodies, renders and
// tokenises, so that a long prompt does not stall running streams. The engine reports from its own
// thread into mailboxes. Start, ReplaceKeys, Stop and port may be called from any one thread.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/api_keys.h"
#include "api/api_policy.h"
#include "base/error.h"
#include "engine/engine.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace reprise {

// A page beside the server's own, of a program that is built around it. `answer` runs on the I/O
// thread and never blocks; what it returns is sent as JSON. REQUIRES: no page of ours has the path.
struct ExtraPage {
  std::string method;
  std::string path;
  std::function<Result<std::string>(Engine& engine, const std::string& body)> answer;
};

struct ServerOptions {
  std::string host = "127.0.0.1";
  int port = 8080;                   // 0: any free one
  std::string model_name;            // what /v1/models lists and every response says
  std::string model_path;            // shown by /props
  std::string chat_template_source;  // shown by /props
  std::string bos_token;             // texts for the template's context; may be empty
  std::string eos_token;
  bool strict_model = false;              // another name in `model` is a 404
  bool expose_logits_checksum = false;    // each choice carries logits_checksum (for tests)
  std::optional<int> default_max_tokens;  // of a chat completion that names none
  ApiPolicy policy;
  std::vector<ExtraPage> extra_pages;
  std::optional<ApiKeys> api_keys;  // none: nobody needs a key
};

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
  // Closes every connection, cancels what they were generating, joins the threads. Idempotent.
  void Stop();

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace reprise
