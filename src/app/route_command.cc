#include "app/route_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "app/load.h"
#include "app/machine.h"
#include "app/secret_file.h"
#include "app/shared_options.h"
#include "app/stop_signals.h"
#include "app/version.h"
#include "base/fleet_limits.h"
#include "base/limits.h"
#include "model/model.h"
#include "router/router.h"
#include "vendor/served_model.h"

namespace reprise {
namespace {

void AddReplicas(CLI::App& route, RouteOptions& options) {
  route.add_option(
      "-m,--model", options.model,
      "the replicas' model, a GGUF file or its name on the hub: only its tokenizer and "
      "chat template are read");
  route.add_flag("--approximate", options.approximate,
                 "without a model: prefixes by their texts, for llama-server, vLLM, SGLang and the "
                 "like");
  // One value each, so that what follows is not taken for another.
  route.add_option("--replica", options.replicas, "a server, http://HOST:PORT; once for each")
      ->type_name("URL")
      ->allow_extra_args(false);
  route
      .add_option("--replicas-from", options.replicas_from,
                  "servers at all addresses of this name, asked again every five seconds")
      ->type_name("NAME:PORT");
  route
      .add_option("--fleet-token", options.fleet_token_file,
                  "what the replicas want to be shown before they tell what they hold (serve "
                  "--fleet-token): the same file")
      ->type_name("FILE");
  route
      .add_option("--chat-template", options.chat_template_file,
                  "the replicas' chat template, where it is not the model's own")
      ->type_name("FILE");
  AddToolFormat(route, options.tool_format, "the replicas' --tool-format: ");
  route
      .add_option(
          "--max-blocks", options.router.max_blocks,
          "blocks that are known of all replicas together, 64 to 128 bytes each; default: 4M")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(size_t{1}, limits::kMostRoutedBlocks));
}

void AddRouterDefences(CLI::App& route, RouteOptions& options) {
  route
      .add_option(
          "--api-keys", options.api_keys_file,
          "the replicas' file of keys: the router then knows tenants and refuses wrong keys "
          "itself, and only administrators see /metrics and /fleet; read again at SIGHUP; "
          "default: keys are passed on untouched")
      ->type_name("FILE");
  AddDefences(route, options.router.request_memory, options.router.origins);
}

void AddLine(CLI::App& route, RouteOptions& options) {
  route
      .add_option("--max-outstanding", options.router.max_outstanding,
                  "requests that one replica has at a time; default: 64")
      ->check(CLI::Range(size_t{1}, limits::kMaxQueuedRequests));
  route
      .add_option("--queue", options.router.queue,
                  "requests that wait while all replicas have as many; beyond it clients are told "
                  "to come again; default: 256")
      ->check(CLI::Range(size_t{0}, limits::kMaxConnections));
  route
      .add_option("--queue-wait", options.queue_wait_s, "how long they wait at most; default: 30s")
      ->transform(AsSeconds())
      ->check(CLI::NonNegativeNumber);
  route
      .add_option("--drain", options.drain_s,
                  "how long requests that have begun may go on when the router is told to stop; "
                  "default: 30s")
      ->transform(AsSeconds())
      ->check(CLI::NonNegativeNumber);
}

// The model's texts; its weights are not looked at.
Status ReadRouterModel(RouteOptions& options) {
  const auto path = FindModel(options.model);
  if (!path) return std::unexpected(path.error());
  auto file = GgufFile::Open(*path);
  if (!file) return std::unexpected(file.error());
  auto config = Model::ReadConfig(*file);
  if (!config) return std::unexpected(config.error());
  auto text = LoadText(*file, options.chat_template_file);
  if (!text) return std::unexpected(text.error());
  const Vocabulary& vocabulary = text->tokenizer->vocabulary();
  ServedModel model = DescribeTexts({.tokenizer = text->tokenizer,
                                     .chat_template = text->chat_template,
                                     .chat_template_source = text->chat_template_source,
                                     .bos_token = TokenText(*text->tokenizer, vocabulary.bos),
                                     .eos_token = TokenText(*text->tokenizer, vocabulary.eos),
                                     .tool_format = ToolFormatOf(options.tool_format)});
  model.name = ModelName(*file);
  model.vocabulary = config->vocabulary;
  options.router.reader = std::make_shared<PromptReader>(std::move(model));
  return {};
}

Status ReadReplicas(RouteOptions& options) {
  RouterOptions& router = options.router;
  for (const std::string& url : options.replicas) {
    auto address = ParseReplicaAddress(url);
    if (!address) return std::unexpected(address.error());
    if (std::ranges::find(router.replicas, *address) != router.replicas.end()) {
      return Fail(ErrorCode::kInvalidArgument, fmt::format("--replica {} is named twice", url));
    }
    router.replicas.push_back(*std::move(address));
  }
  if (!options.replicas_from.empty()) {
    auto name = ParseReplicaAddress(options.replicas_from);
    if (!name) {
      return Fail(ErrorCode::kInvalidArgument,
                  fmt::format("--replicas-from {}: NAME:PORT is meant", options.replicas_from));
    }
    router.replicas_from = *std::move(name);
  }
  if (router.replicas.empty() && !router.replicas_from) {
    return Fail(ErrorCode::kInvalidArgument,
                "which servers? --replica http://HOST:PORT for each, or --replicas-from NAME:PORT");
  }
  return {};
}

// From the command line's words to the router's options.
Status ReadRouteOptions(RouteOptions& options) {
  RouterOptions& router = options.router;
  if (Status read = ReadReplicas(options); !read) return read;
  if (options.approximate != options.model.empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                "either --model FILE, the model of the replicas, or --approximate, for other "
                "engines than this one");
  }
  if (!options.fleet_token_file.empty()) {
    auto token = ReadSecretFile(options.fleet_token_file);
    if (!token) return std::unexpected(token.error());
    router.fleet_token = *std::move(token);
  }
  if (!options.approximate) {
    if (Status read = ReadRouterModel(options); !read) return read;
  }
  if (!options.api_keys_file.empty()) {
    auto keys = ApiKeys::Read(options.api_keys_file);
    if (!keys) return std::unexpected(keys.error());
    router.api_keys = *std::move(keys);
  }
  if (router.request_memory == 0) router.request_memory = DefaultRequestMemory();
  router.version = BuiltVersion();
  router.commit = BuiltCommit();
  router.queue_wait = FromSeconds(options.queue_wait_s);
  return {};
}

void PrintRouterInvitation(std::string host, int port) {
  if (host == "0.0.0.0") host = "127.0.0.1";
  fmt::print("listening on http://{}:{}\n", host, port);
  fmt::print("see:  http://{}:{}/fleet for the replicas and what they hold\n", host, port);
  std::fflush(stdout);
}

}  // namespace

CLI::App& AddRoute(CLI::App& app, RouteOptions& options) {
  CLI::App& route = *app.add_subcommand(
      "route",
      "Pass requests on to several servers, each to the one that is expected to give its first "
      "token first, since it\nholds the prompt's beginning\n\n"
      "  reprise route --model FILE --replica http://10.0.0.7:8080 --replica http://10.0.0.8:8080\n"
      "  reprise route --model FILE --replicas-from replicas.example:8080\n"
      "  reprise route --approximate --replica http://10.0.0.7:8000 …   before other engines");
  AddReplicas(route, options);
  route.add_option("--host", options.router.host, "address to listen on");
  route.add_option("--port", options.router.port, "port to listen on; 0: any free one")
      ->check(CLI::Range(0, 65535));
  AddLine(route, options);
  AddRouterDefences(route, options);
  return route;
}

int RunRoute(RouteOptions options) {
  BoundKeptMemory();
  // Before signals wait for a router: Ctrl-C ends a download.
  if (const Status read = ReadRouteOptions(options); !read) return Complain(read.error());
  const sigset_t signals = BlockSignals();
  const std::string host = options.router.host;
  auto router = Router::Start(std::move(options.router));
  if (!router) return Complain(router.error());
  PrintRouterInvitation(host, (*router)->port());
  AwaitStop(signals, [&] {
    ReloadKeys(options.api_keys_file,
               [&](ApiKeys keys) { (*router)->ReplaceKeys(std::move(keys)); });
  });
  (*router)->Stop(FromSeconds(options.drain_s));
  return 0;
}

}  // namespace reprise
