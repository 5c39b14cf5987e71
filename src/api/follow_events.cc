#include "api/follow_events.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include "api/service.h"
#include "vendor/error_reply.h"
#include "vendor/served_model.h"
#include "vendor/sse.h"

namespace reprise {
namespace json = boost::json;
namespace {

std::string NamedEvent(std::string_view name, const json::value& data) {
  std::string event;
  AppendNamedSseEvent(event, name, json::serialize(data));
  return event;
}

// A snapshot may name a million blocks, so these are written without a tree of values.
void AppendName(std::string& text, BlockName name) {
  fmt::format_to(std::back_inserter(text), "\"{:016x}\"", name);
}

void AppendNames(std::string& text, const std::vector<BlockName>& names) {
  text += '[';
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += ',';
    AppendName(text, names[i]);
  }
  text += ']';
}

std::string_view SnapshotPart(const BlockChanges& changes) {
  if (changes.begins && changes.ends) return "whole";
  if (changes.begins) return "begin";
  return changes.ends ? "end" : "part";
}

// 0: not known yet.
double ReadSecondsPerToken(const EngineStats& stats, TierKind kind) {
  for (const BlockTier::Counters& tier : stats.tiers) {
    if (tier.kind != kind || tier.bytes_per_second <= 0 || stats.block_tokens == 0) continue;
    return static_cast<double>(stats.block_bytes) / tier.bytes_per_second / stats.block_tokens;
  }
  return 0;
}

}  // namespace

std::string HelloEvent(const Service& service, uint64_t process) {
  const EngineStats stats = service.engine.stats();
  const ApiPolicy& policy = service.model.policy;
  json::array places = {ToText(BlockPlace::kMemory)};
  for (const BlockTier::Counters& tier : stats.tiers)
    places.push_back(json::value(ToText(tier.kind)));
  return NamedEvent("hello",
                    {{"process", fmt::format("{:016x}", process)},
                     {"model", service.model.name},
                     {"identity", service.engine.block_identity().Hex()},
                     {"block_tokens", stats.block_tokens},
                     {"context", service.model.max_sequence_tokens},
                     {"template", TextOrNull(service.model.template_hash)},
                     {"vocabulary", TextOrNull(service.model.vocabulary_hash)},
                     {"tool_format", service.model.chat_template == nullptr
                                         ? json::value()
                                         : json::value(NameOf(service.model.dialect.tools))},
                     {"cache_key_isolates", policy.cache_key_isolates},
                     {"drop_billing_line", policy.drop_billing_line},
                     {"cache_minimum_tokens", policy.cache_minimum_tokens},
                     {"places", std::move(places)},
                     {"version", service.options.build.version}});
}

std::string BlocksEvent(const BlockChanges& changes, size_t block_tokens) {
  std::string data =
      fmt::format(R"({{"place":"{}","sequence":{})", ToText(changes.place), changes.sequence);
  if (changes.kind == BlockChanges::Kind::kSnapshot) {
    data += fmt::format(R"(,"snapshot":"{}")", SnapshotPart(changes));
  }
  if (changes.cleared) data += R"(,"cleared":true)";
  data += R"(,"stored":[)";
  for (const BlockRun& run : changes.stored) {
    if (data.back() != '[') data += ',';
    data += R"({"parent":)";
    if (run.parent) {
      AppendName(data, *run.parent);
    } else {
      data += "null";
    }
    data += R"(,"blocks":)";
    AppendNames(data, run.blocks);
    data += fmt::format(R"(,"tokens":{}}})", run.blocks.size() * block_tokens);
  }
  data += R"(],"removed":)";
  AppendNames(data, changes.removed);
  data += '}';
  std::string event;
  AppendNamedSseEvent(event, "blocks", data);
  return event;
}

std::string LoadEvent(const EngineStats& stats) {
  return NamedEvent("load",
                    {{"running", stats.running},
                     {"waiting", stats.waiting},
                     {"ahead_seconds", stats.ahead_seconds},
                     {"seconds_per_token", stats.seconds_per_token},
                     {"seconds_per_token_and_key", stats.seconds_per_token_and_key},
                     {"disk_seconds_per_token", ReadSecondsPerToken(stats, TierKind::kDisk)},
                     {"shared_seconds_per_token", ReadSecondsPerToken(stats, TierKind::kShared)}});
}

std::string ReplyEvent(const std::string& tenant, const WrittenReply& reply) {
  json::array calls;
  calls.reserve(reply.calls.size());
  for (const WrittenReply::Call& call : reply.calls) {
    calls.push_back({{"id", call.id}, {"name", call.name}, {"arguments", call.arguments}});
  }
  return NamedEvent("reply", {{"tenant", tenant},
                              {"reply",
                               {{"calls", std::move(calls)},
                                {"text", reply.text},
                                {"thinking", reply.thinking},
                                {"written", reply.written}}}});
}

std::string DrainingEvent() { return NamedEvent("draining", json::object()); }

}  // namespace reprise
