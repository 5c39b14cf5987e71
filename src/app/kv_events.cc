#include "app/kv_events.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <utility>

#include "base/log.h"

namespace reprise {
namespace {

std::string HostName() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  return name.data();
}

}  // namespace

void AddKvEvents(CLI::App& serve, KvEventOptions& options) {
  CLI::Option* const events =
      serve
          .add_option("--kv-events", options.address,
                      "publish over ZeroMQ which blocks memory holds, as vLLM does, for llm-d or "
                      "NVIDIA Dynamo: tcp://HOST:PORT, where HOST is an address of this machine in "
                      "figures, or * for all; whoever can connect reads prompts' tokens; default: "
                      "nowhere")
          ->type_name("URL");
  serve
      .add_option("--kv-events-replay", options.replay_address,
                  "and answer there, tcp://HOST:PORT, what readers missed; default: nowhere")
      ->type_name("URL")
      ->needs(events);
  serve
      .add_option("--kv-events-topic", options.topic,
                  "and under this topic; default: kv@HOST@MODEL, with this machine's name")
      ->type_name("TEXT")
      ->needs(events);
  serve
      .add_option("--kv-events-encoding", options.encoding,
                  "and events as map, with names of fields, as vLLM writes them since 0.24, or as "
                  "array, as before, for older readers; default: map")
      ->type_name("NAME")
      ->check(CLI::IsMember({"map", "array"}))
      ->needs(events);
}

Result<std::unique_ptr<KvEventPublisher>> StartKvEvents(const KvEventOptions& options,
                                                        Engine& engine, std::string_view model) {
  if (options.address.empty()) return nullptr;
  PublisherOptions wanted{
      .address = options.address,
      .replay_address = options.replay_address,
      .topic = options.topic,
      .block_tokens = static_cast<size_t>(engine.stats().block_tokens),
      .encoding = options.encoding == "array" ? EventEncoding::kArray : EventEncoding::kMap};
  if (wanted.topic.empty()) wanted.topic = fmt::format("kv@{}@{}", HostName(), model);
  const std::string topic = wanted.topic;
  auto publisher = KvEventPublisher::Start(std::move(wanted), [&engine](BlockSink sink) {
    engine.WatchBlocks(BlockView::kMemoryWithTokens, std::move(sink));
  });
  if (!publisher) return publisher;
  LogInfo("blocks are told at {}{}, as {}", (*publisher)->address(),
          options.replay_address.empty()
              ? std::string()
              : fmt::format(" and again at {}", (*publisher)->replay_address()),
          topic);
  return publisher;
}

}  // namespace reprise
