#include "app/command_line.h"

#include <cstdio>
#include <optional>
#include <string>

#include "app/cache_command.h"
#include "app/inspect.h"
#include "app/perplexity.h"
#include "app/pull_command.h"
#include "app/route_command.h"
#include "app/shared_options.h"
#include "app/simulate_command.h"
#include "app/tokenize.h"
#include "app/version.h"
#include "base/limits.h"
#include "base/log.h"
#include "vendor/marker_rules.h"

namespace reprise {
namespace {

constexpr const char* kModelText =
    "GGUF file (of a split one any part), or a model on the hub: hf:ORG/REPO[@REVISION]"
    "[:FILE-or-QUANT]";

void AddModelOptions(CLI::App& command, ModelOptions& model) {
  command.add_option("-m,--model", model.path, kModelText)->required();
  command
      .add_option("--threads", model.threads,
                  "threads for the kernels; default: one for each physical core")
      ->check(CLI::Range(0, 1024));
  command.add_option(
      "--cpus", model.cpus,
      "CPUs that all threads keep to, such as 0-3,8; default: those that the process "
      "was given");
  command.add_option("--isa", model.isa,
                     "instruction set: auto, amx, avx512, avx_vnni, avx2 or plain");
  command.add_option("--compute", model.compute,
                     "fast: int8 or bf16 products; exact: f32 over dequantised weights (slow, for "
                     "tests)");
}

// What clients may ask of the cache, and how strictly they are read.
void AddPolicy(CLI::App& serve, ApiPolicy& policy) {
  serve.add_flag("--strict-api", policy.strict_api,
                 "refuse cache markers that their vendor would refuse; default: ignore them and "
                 "say so in x-reprise-cache-warning");
  serve
      .add_option_function<std::string>(
          "--ttl-max",
          [&policy](const std::string& text) {
            const std::optional<Duration> ttl = ParseTtl(text);
            if (!ttl) throw CLI::ValidationError("--ttl-max", "a time such as 90s, 12h or 7d");
            policy.ttl_max = *ttl;
          },
          "longest lifetime that a cache marker may ask for; default: 24h")
      ->type_name("TIME");
  serve.add_option("--cache-minimum-tokens", policy.cache_minimum_tokens,
                   "prompts and marked prefixes shorter than this are not cached; default: 0");
  serve.add_flag("--cache-key-isolates", policy.cache_key_isolates,
                 "requests with different prompt_cache_key share nothing");
  serve
      .add_option("--history", policy.history,
                  "requests of each tenant that are remembered, to explain what was not read from "
                  "the cache (GET /cache/requests); 0: none; default: 100")
      ->check(CLI::Range(size_t{0}, limits::kMaxHistory));
  serve.add_flag("!--keep-billing-line", policy.drop_billing_line,
                 "render the coding agent's billing line, whose changes spoil the cache");
}

// As the parser takes them.
struct Times {
  double pause_s, drain_s;
  double response_retention_s;
  double retention_s = 0;  // 0: none was set
  double disk_retention_s, shared_retention_s, prune_retention_s;
};

// Where what was read is kept below memory.
void AddTiers(CLI::App& serve, TierOptions& tiers, Times& times) {
  serve
      .add_option("--disk", tiers.disk.folder,
                  "keep what was read in this folder too: it outlives the process, and holds more "
                  "than memory; prompts' tokens lie there; default: nowhere")
      ->type_name("DIR");
  serve
      .add_option("--disk-size", tiers.disk.bytes,
                  "what it may hold there, such as 50G; default: a tenth of what is free")
      ->transform(CLI::AsSizeValue(false));
  serve
      .add_option("--disk-retention", times.disk_retention_s,
                  "how long a prompt lives there unused; default: 24h")
      ->transform(AsSeconds())
      ->check(CLI::PositiveNumber);
  serve
      .add_option("--shared", tiers.shared.urls,
                  "keep it in a Redis or Valkey too that other servers share: "
                  "redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], rediss:// with TLS; several: "
                  "spread over them; default: nowhere")
      ->envname("REPRISE_SHARED")
      ->type_name("URL");
  serve
      .add_option("--shared-secret", tiers.shared.secret_file,
                  "only records made by who has this file's content are used; without it whoever "
                  "may write to the store can change answers")
      ->type_name("FILE");
  serve
      .add_option("--shared-ca", tiers.shared.ca_file,
                  "certificates that sign the store's; default: the system's")
      ->type_name("FILE");
  serve
      .add_option("--shared-retention", times.shared_retention_s,
                  "how long a prompt lives there unused; default: 24h")
      ->transform(AsSeconds())
      ->check(CLI::Range(1.0, 1e9));
}

void AddServe(CLI::App& app, ServeOptions& options, Times& times, int& max_tokens,
              std::string& tool_format) {
  CLI::App& serve = *app.add_subcommand(
      "serve", "Serve a model over the OpenAI and Anthropic APIs, with prompt caching");
  AddModelOptions(serve, options.model);
  serve.add_option("--host", options.server.host, "address to listen on");
  serve.add_option("--port", options.server.port, "port to listen on; 0: any free one")
      ->check(CLI::Range(0, 65535));
  serve
      .add_option("--kv-memory", options.engine.kv_bytes,
                  "memory for the prompt cache, such as 512M or 8G; default: a quarter of the RAM")
      ->transform(CLI::AsSizeValue(false));
  serve
      .add_option("--pin-memory", options.engine.pin_bytes,
                  "of that, what marked prompts may hold until their time is up; default: half")
      ->transform(CLI::AsSizeValue(false));
  serve
      .add_option("--pin-memory-per-tenant", options.engine.pin_bytes_per_tenant,
                  "of that, what one tenant's may; default: all")
      ->transform(CLI::AsSizeValue(false));
  serve
      .add_option("--retention", times.retention_s,
                  "how long a cached prompt lives unused, such as 90s, 10m or 1h; default: until "
                  "its room is needed")
      ->transform(AsSeconds())
      ->check(CLI::PositiveNumber);
  AddTiers(serve, options.tiers, times);
  AddKvEvents(serve, options.kv_events);
  serve
      .add_option("--context", options.engine.context,
                  "longest prompt and reply in tokens; default: what the model was trained for")
      ->check(CLI::Range(0, static_cast<int>(limits::kMaxContext)));
  serve
      .add_option("--prefill-chunk", options.engine.prefill_chunk,
                  "prompt tokens computed in a step when no reply is being streamed")
      ->check(CLI::Range(1, static_cast<int>(limits::kMaxStepRows)));
  serve
      .add_option("--stream-pause", times.pause_s,
                  "how long a stream may pause for others' prompts, such as 50ms; default: 100ms")
      ->transform(AsSeconds())
      ->check(CLI::PositiveNumber);
  serve
      .add_option_function<std::string>(
          "--speculate",
          [&options](const std::string& word) { options.engine.speculate = word == "on"; },
          "guess a reply's next tokens, from an equal request's reply, the client's prediction and "
          "what the prompt says, and verify several in one step: the same bits, several times as "
          "fast where a reply repeats something; off: a token a step; default: on")
      ->check(CLI::IsMember({"on", "off"}));
  serve.add_option("--block-tokens", options.model.block_tokens, "tokens in a block of the cache")
      ->check(CLI::IsMember({16, 32, 64}));
  serve.add_option("--model-name", options.server.model_name,
                   "name to serve the model under; default: the file's");
  serve.add_flag("--strict-model", options.server.strict_model,
                 "answer 404 to requests that name another model");
  serve
      .add_option(
          "--response-retention", times.response_retention_s,
          "how long a stored response (Responses API) can be gone on from, and its prompt is "
          "kept; 0: none is stored; default: 30m")
      ->transform(AsSeconds())
      ->check(CLI::NonNegativeNumber);
  serve
      .add_option("--chat-template", options.chat_template_file,
                  "a chat template (Jinja) in place of the model's own")
      ->type_name("FILE");
  AddToolFormat(serve, tool_format, "how the model writes calls of tools: ");
  serve
      .add_option("--default-max-tokens", max_tokens,
                  "longest reply of a request that sets no limit; default: up to the context")
      ->check(CLI::Range(1, static_cast<int>(limits::kMaxContext)));
  serve.add_flag("--expose-logits-checksum", options.server.expose_logits_checksum,
                 "add a checksum of all logits to each choice (for tests of exactness)");
  serve
      .add_option("--drain", times.drain_s,
                  "how long replies that have begun may go on when the server is told to stop; "
                  "default: 5s")
      ->transform(AsSeconds())
      ->check(CLI::NonNegativeNumber);
  serve.add_option("--trace", options.trace_path,
                   "write where the time of each request goes to this file, for chrome://tracing");
  AddPolicy(serve, options.server.policy);
  AddDefences(serve, options.server.request_memory, options.server.origins);
  serve
      .add_option("--api-keys", options.api_keys_file,
                  "answer only requests with a key of this file, read again at SIGHUP; its lines: "
                  "KEY ORGANISATION/WORKSPACE [admin]; default: no key is needed")
      ->type_name("FILE");
  serve
      .add_option("--fleet-token", options.fleet_token_file,
                  "who shows this file's content may follow which blocks are cached here (GET "
                  "/cache/events), as a router does; default: administrators' keys may")
      ->type_name("FILE");
}

void AddCache(CLI::App& app, CacheOptions& options, Times& times) {
  CLI::App& cache =
      *app.add_subcommand("cache", "Look after a folder of serve --disk, while no server uses it");
  cache.require_subcommand(1);
  using Verb = CacheOptions::Verb;
  const auto add = [&](const char* name, Verb verb, const char* what) -> CLI::App& {
    CLI::App& command = *cache.add_subcommand(name, what);
    command.add_option("DIR", options.folder, "the folder")->required();
    command.callback([&options, verb] { options.verb = verb; });
    return command;
  };
  add("stat", Verb::kStat, "What it holds");
  add("verify", Verb::kVerify, "Read every block and compare its checksum")
      .add_flag("--mend", options.mend, "erase those that are not whole");
  CLI::App& prune = add("prune", Verb::kPrune, "Erase what is old, but for what is promised");
  prune.add_option("--size", options.bytes, "and the oldest beyond this size, such as 10G")
      ->transform(CLI::AsSizeValue(false));
  prune.add_option("--older-than", times.prune_retention_s, "how long unused is old; default: 24h")
      ->transform(AsSeconds())
      ->check(CLI::PositiveNumber);
  add("clear", Verb::kClear, "Erase everything");
}

void AddPull(CLI::App& app, PullCommand& command) {
  CLI::App& pull = *app.add_subcommand(
      "pull",
      "Fetch a model from the Hugging Face Hub, into the folder that its own tools use.\n\n"
      "  reprise pull hf:ORG/REPO                 its Q4_K_M, else Q4_0, else Q8_0 file, or the "
      "only one\n"
      "  reprise pull hf:ORG/REPO:Q5_K_M          the file with that in its name\n"
      "  reprise pull hf:ORG/REPO:name.gguf       that file\n"
      "  reprise pull hf:ORG/REPO@v1.0:Q8_0       of a branch, a tag or a commit\n\n"
      "All parts of a split model come. What was cut off goes on where it stopped; SHA-256 "
      "checksums are\ncompared. serve --model takes the same names and fetches what is not there. "
      "Prints the file's path.\n\n"
      "Environment: HF_TOKEN (private and gated models), HF_ENDPOINT (a mirror), HF_HUB_CACHE or "
      "HF_HOME\n(the folder; default ~/.cache/huggingface), HF_HUB_OFFLINE=1 (ask nobody), "
      "https_proxy");
  pull.add_option("MODEL", command.model, "hf:ORG/REPO[@REVISION][:FILE-or-QUANT]")->required();
}

}  // namespace

int RunCommandLine(int argc, char** argv, ServeOptions serve) {
  CLI::App app{"Reprise serves GGUF models on the CPU and never computes the same prompt twice."};
  app.set_version_flag("--version", VersionLine());
  app.require_subcommand(1);
  bool verbose = false, quiet = false;
  app.add_flag("-v,--verbose", verbose, "log more");
  app.add_flag("-q,--quiet", quiet, "log warnings and errors only");
  app.fallthrough();

  CacheOptions cache;
  Times times{.pause_s = InSeconds(serve.engine.stream_pause),
              .drain_s = InSeconds(serve.drain),
              .response_retention_s = InSeconds(serve.server.response_retention),
              .disk_retention_s = InSeconds(serve.tiers.disk.retention),
              .shared_retention_s = InSeconds(serve.tiers.shared.retention),
              .prune_retention_s = InSeconds(cache.retention)};
  int max_tokens = 0;
  std::string tool_format;
  AddServe(app, serve, times, max_tokens, tool_format);
  AddCache(app, cache, times);

  PerplexityOptions perplexity;
  CLI::App& measure = *app.add_subcommand(
      "perplexity", "Perplexity of a text: windows of 512 tokens, the second half of each scored");
  AddModelOptions(measure, perplexity.model);
  measure.add_option("-f,--file", perplexity.file, "text file, UTF-8")->required();
  measure.add_option("--windows", perplexity.windows, "stop after so many windows; 0: all")
      ->check(CLI::NonNegativeNumber);

  TokenizeOptions tokenize;
  CLI::App& tokens = *app.add_subcommand("tokenize", "Token ids of a text");
  tokens.add_option("-m,--model", tokenize.model, kModelText)->required();
  tokens.add_option("-f,--file", tokenize.file, "text file, UTF-8; -: standard input");
  tokens.add_flag("--ids", tokenize.ids_only, "print the ids only, as a JSON array");
  tokens.add_flag("--parse-special", tokenize.parse_special,
                  "text that spells a control token becomes that token");

  InspectOptions inspect;
  CLI::App& show = *app.add_subcommand(
      "inspect", "What a GGUF file holds, what model it is, and whether it fits this machine");
  show.add_option("-m,--model", inspect.model, kModelText)->required();
  show.add_option("--context", inspect.context,
                  "tokens whose memory is told; default: what the model was trained for")
      ->check(CLI::Range(0, static_cast<int>(limits::kMaxContext)));

  PullCommand pull;
  AddPull(app, pull);

  RouteOptions route;
  AddRoute(app, route);

  SimulateOptions simulate;
  AddSimulate(app, simulate);

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    return app.exit(asked);  // --help, --version
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "reprise: %s (see reprise --help)\n", error.what());
    return 2;
  }
  if (verbose) SetLogLevel(LogLevel::kDebug);
  if (quiet) SetLogLevel(LogLevel::kWarning);
  serve.server.tool_format = ToolFormatOf(tool_format);
  if (max_tokens > 0) serve.server.default_max_tokens = max_tokens;
  if (times.retention_s > 0) serve.engine.retention = FromSeconds(times.retention_s);
  serve.tiers.disk.retention = FromSeconds(times.disk_retention_s);
  serve.tiers.shared.retention = FromSeconds(times.shared_retention_s);
  cache.retention = FromSeconds(times.prune_retention_s);
  serve.engine.stream_pause = FromSeconds(times.pause_s);
  serve.drain = FromSeconds(times.drain_s);
  serve.server.response_retention = FromSeconds(times.response_retention_s);

  if (app.got_subcommand("serve")) return RunServe(std::move(serve));
  if (app.got_subcommand("perplexity")) return RunPerplexity(perplexity);
  if (app.got_subcommand("cache")) return RunCache(cache);
  if (app.got_subcommand("pull")) return RunPull(pull);
  if (app.got_subcommand("route")) return RunRoute(std::move(route));
  if (app.got_subcommand("simulate")) return RunSimulate(simulate);
  if (app.got_subcommand("tokenize")) return RunTokenize(tokenize);
  return RunInspect(inspect);
}

}  // namespace reprise
