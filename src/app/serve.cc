#include "app/serve.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "app/machine.h"
#include "app/secret_file.h"
#include "app/shared_options.h"
#include "app/stop_signals.h"
#include "app/version.h"
#include "base/clock.h"
#include "base/cpus.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/trace.h"

namespace reprise {
namespace {

// That compute.
int Threads(const ModelOptions& options) {
  return options.threads > 0 ? options.threads : DefaultThreads();
}

void LogModel(const Model& model, const ModelOptions& options, size_t file_bytes, double seconds) {
  const ModelConfig& config = model.config();
  LogInfo("{} ({}): {} layers, hidden {}, {} heads on {} KV heads, vocabulary {}, context {}",
          config.name, config.architecture, config.layers, config.hidden, config.heads,
          config.kv_heads, config.vocabulary, config.context);
  const Isa isa = ParseIsa(options.isa).value_or(Isa::kPlain);
  LogInfo("file {:.1f} MB, packed {:.1f} MB in {:.2f} s; {} arithmetic on {}, {} threads",
          static_cast<double>(file_bytes) / 1e6, static_cast<double>(model.weight_bytes()) / 1e6,
          seconds, options.compute, IsaName(isa), Threads(options));
  const std::string refused = RefusedIsa();
  if (!refused.empty() && options.isa == "auto") LogInfo("{}", refused);
}

void LogCache(const EngineStats& stats, const EngineOptions& options) {
  const size_t blocks = stats.cache.total_blocks;
  LogInfo("prompt cache: {:.2f} GiB = {} blocks of {} tokens = {} tokens; {}",
          static_cast<double>(options.kv_bytes) / (1ULL << 30), blocks, stats.block_tokens,
          blocks * static_cast<size_t>(stats.block_tokens),
          options.retention == Duration::max()
              ? std::string("kept until the room is needed")
              : fmt::format(
                    "idle lifetime {} s",
                    std::chrono::duration_cast<std::chrono::seconds>(options.retention).count()));
  if (stats.state_bytes == 0) return;
  LogInfo(
      "of that, {} recurrent states of {:.2f} MB: up to {} for requests at once, the rest kept "
      "behind prompts",
      stats.cache.total_states, static_cast<double>(stats.state_bytes) / 1e6,
      stats.cache.most_working_states);
}

void PrintInvitation(std::string host, int port, bool needs_key) {
  if (host == "0.0.0.0") host = "127.0.0.1";
  fmt::print("listening on http://{}:{}\n", host, port);
  fmt::print(
      "try:  curl http://{}:{}/v1/chat/completions -H 'Content-Type: application/json'{} -d "
      "'{{\"messages\":[{{\"role\":\"user\",\"content\":\"What is a prompt cache?\"}}]}}'\n",
      host, port, needs_key ? " -H 'x-api-key: KEY'" : "");
  fmt::print("see:  http://{}:{}/ in a browser: what is cached, what was read, and why not more\n",
             host, port);
  if (!needs_key) {
    fmt::print("then: ./run demo{}\n", port == 8080 ? "" : fmt::format(" --port {}", port));
  }
  std::fflush(stdout);
}

}  // namespace

int RunServe(ServeOptions options) {
  BoundKeptMemory();
  // Before signals wait for a server: Ctrl-C ends a download.
  auto path = FindModel(options.model.path);
  if (!path) return Complain(path.error());
  options.model.path = *std::move(path);
  const sigset_t signals = BlockSignals();
  const SystemClock system_clock;
  if (!options.trace_path.empty()) {
    if (const Status opened = OpenTrace(options.trace_path); !opened) {
      return Complain(opened.error());
    }
  }
  const TimePoint begin = system_clock.Now();
  if (!options.api_keys_file.empty()) {
    Result<ApiKeys> keys = ApiKeys::Read(options.api_keys_file);
    if (!keys) return Complain(keys.error());
    options.server.api_keys = *std::move(keys);
  }
  if (!options.fleet_token_file.empty()) {
    Result<std::string> token = ReadSecretFile(options.fleet_token_file);
    if (!token) return Complain(token.error());
    options.server.fleet_token = *std::move(token);
  }
  auto file = OpenModel(options.model.path);
  if (!file) return Complain(file.error());
  auto text = LoadText(*file, options.chat_template_file);
  if (!text) return Complain(text.error());
  options.model.context = options.engine.context;
  auto model = LoadModel(*file, options.model);
  if (!model) return Complain(model.error());
  const std::chrono::duration<double> took = system_clock.Now() - begin;
  LogModel(**model, options.model, file->file_bytes(), took.count());

  if (options.engine.kv_bytes == 0) options.engine.kv_bytes = MemoryBytes() / 4;
  if (options.server.request_memory == 0) options.server.request_memory = DefaultRequestMemory();
  const ModelConfig& config = (*model)->config();
  if (options.engine.context > config.context) {
    LogWarning("--context {} is longer than the {} that the model was trained for",
               options.engine.context, config.context);
  }
  if (options.server.model_name.empty()) {
    options.server.model_name = ModelName(*file);
  }
  options.server.model_path = options.model.path;
  options.server.build = {std::string(BuiltVersion()), std::string(BuiltCommit())};
  options.server.threads = Threads(options.model);
  options.server.chat_template_source = text->chat_template_source;
  const Vocabulary& vocabulary = text->tokenizer->vocabulary();
  options.server.bos_token = TokenText(*text->tokenizer, vocabulary.bos);
  options.server.eos_token = TokenText(*text->tokenizer, vocabulary.eos);
  options.engine.checksum_logits = options.server.expose_logits_checksum;

  const Clock* clock = options.clock != nullptr ? options.clock : &system_clock;
  auto below = OpenTiers(options.tiers, *file, **model);
  if (!below) return Complain(below.error());
  auto engine =
      Engine::Start(std::move(*model), text->tokenizer, clock, options.engine, *std::move(below));
  if (!engine) return Complain(engine.error());
  LogCache((*engine)->stats(), options.engine);
  auto kv_events = StartKvEvents(options.kv_events, **engine, options.server.model_name);
  if (!kv_events) return Complain(kv_events.error());
  const std::string host = options.server.host;
  // Moved, so that no key is kept that a reload takes away.
  auto server =
      Server::Start(**engine, text->tokenizer, text->chat_template, std::move(options.server));
  if (!server) return Complain(server.error());
  PrintInvitation(host, (*server)->port(), !options.api_keys_file.empty());
  AwaitStop(signals, [&] {
    ReloadKeys(options.api_keys_file,
               [&](ApiKeys keys) { (*server)->ReplaceKeys(std::move(keys)); });
  });
  (*server)->Stop(options.drain);
  server->reset();
  kv_events->reset();
  engine->reset();
  CloseTrace();
  return 0;
}

}  // namespace reprise
