#include "router/replica_events.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "base/log.h"
#include "vendor/json_reader.h"

namespace reprise {
namespace json = boost::json;
namespace {

std::optional<Level> LevelOf(const json::value* place) {
  if (place == nullptr || !place->is_string()) return std::nullopt;
  const auto found = std::ranges::find(kLevelNames, std::string_view(place->get_string()));
  if (found == kLevelNames.end()) return std::nullopt;
  return static_cast<Level>(found - kLevelNames.begin());
}

std::unexpected<Error> Unreadable(std::string_view what) {
  return Fail(ErrorCode::kCorrupt, fmt::format("its events cannot be read: {}", what));
}

// All of `text` as a number in hexadecimal.
std::optional<uint64_t> HexOf(std::string_view text) {
  uint64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Sha256> HashOf(std::string_view text) {
  Sha256 hash;
  if (text.size() != 2 * hash.bytes.size()) return std::nullopt;
  for (size_t i = 0; i < hash.bytes.size(); ++i) {
    const auto byte = HexOf(text.substr(2 * i, 2));
    if (!byte) return std::nullopt;
    hash.bytes[i] = static_cast<std::byte>(*byte);
  }
  return hash;
}

// false: the list holds something else than names.
bool ReadNames(const json::array* list, std::vector<BlockName>& names) {
  if (list == nullptr) return true;
  names.reserve(names.size() + list->size());
  for (const json::value& each : *list) {
    const auto name = each.is_string() ? HexOf(each.get_string()) : std::nullopt;
    if (!name) return false;
    names.push_back(*name);
  }
  return true;
}

bool ReadRuns(const json::array* runs, std::vector<BlockName>& names) {
  if (runs == nullptr) return true;
  for (const json::value& run : *runs) {
    const json::value* blocks = run.is_object() ? run.get_object().if_contains("blocks") : nullptr;
    if (blocks == nullptr || !blocks->is_array()) return false;
    if (!ReadNames(&blocks->get_array(), names)) return false;
  }
  return true;
}

ReplicaTerms ReadTerms(FieldReader& hello) {
  const auto size = [&](std::string_view name, int64_t least) {
    return hello.Integer(name, least, limits::kMaxContext).value_or(least);
  };
  return {.context = static_cast<int>(size("context", 1)),
          .cache_key_isolates = hello.Bool("cache_key_isolates").value_or(false),
          .drop_billing_line = hello.Bool("drop_billing_line").value_or(true),
          .cache_minimum_tokens = static_cast<size_t>(size("cache_minimum_tokens", 0))};
}

constexpr size_t kManyNames = size_t{1} << 24;  // in one event; the event's bytes bound them before

}  // namespace

void ReplicaEvents::Begin() {
  places_ = {};
  differing_ = std::nullopt;
  if (!std::exchange(basis_, std::nullopt)) return;
  if (--lore_.agreeing == 0) lore_.terms = std::nullopt;
}

// What it told of the shared store is there for the others still; its next snapshot says it anew.
void ReplicaEvents::Clear() {
  lore_.holdings.Clear(replica_.index, Level::kMemory);
  lore_.holdings.Clear(replica_.index, Level::kDisk);
  lore_.holdings.SetSharing(replica_.index, false);
}

void ReplicaEvents::End() {
  replica_.told.followed = false;
  replica_.told.load.ahead_seconds = 0;
  Clear();
  Begin();
}

Status ReplicaEvents::Take(std::string_view name, std::string_view data, TimePoint now) {
  const auto object = ParseJsonObject(data);
  if (!object) return Unreadable(object.error().message);
  if (name == "hello") return TakeHello(*object);
  if (replica_.told.process.empty()) return Unreadable("no hello comes first");
  if (name == "blocks") return basis_ ? TakeBlocks(*object) : Status();
  if (name == "reply") return TakeReply(*object);
  if (differing_ && Agrees(*differing_)) {
    return Fail(ErrorCode::kCorrupt, "its settings are those of the others now");
  }
  if (name == "load") TakeLoad(*object, now);
  if (name == "draining") replica_.told.draining = true;
  return {};  // what later servers may tell is not known here
}

bool ReplicaEvents::Agrees(const ReplicaTerms& terms) const {
  if (!lore_.terms) return true;
  // Its window is its own matter: what is too long for it, it refuses.
  ReplicaTerms alike = terms;
  alike.context = lore_.terms->context;
  return alike == *lore_.terms;
}

std::string ReplicaEvents::TroubleOf(const json::object& hello, const ReplicaTerms& terms) const {
  const auto its = [&hello](std::string_view name) {
    const json::value* text = hello.if_contains(name);
    return text != nullptr && text->is_string() ? std::string_view(text->get_string()) : "";
  };
  const std::shared_ptr<const ServedModel> ours = lore_.reader.model();
  if (its("template") != ours->template_hash) {
    return "it serves with another chat template than the router reads prompts with: give both the "
           "same --model and --chat-template";
  }
  if (its("vocabulary") != ours->vocabulary_hash) {
    return "it serves a model with another vocabulary than the router reads prompts with: give "
           "both the same --model";
  }
  if (!Agrees(terms)) {
    return "it reads prompts otherwise than the other replicas: give all the same "
           "--cache-key-isolates, --keep-billing-line and --cache-minimum-tokens";
  }
  return "";
}

Status ReplicaEvents::TakeHello(const json::object& hello) {
  FieldReader fields(hello, "hello");
  const std::string process(fields.String("process").value_or(""));
  const auto identity = HashOf(fields.String("identity").value_or(""));
  const auto block_tokens = fields.Integer("block_tokens", 1, limits::kMaxContext);
  const json::array* places = fields.Array("places", kLevelNames.size());
  ReplicaTerms terms = ReadTerms(fields);
  if (!fields.ok() || process.empty() || !identity || !block_tokens || places == nullptr) {
    return Unreadable(fields.ok() ? "hello lacks a field" : fields.status().error().message);
  }
  Clear();
  Begin();
  ReplicaTold& told = replica_.told;
  if (told.process != process) told.draining = false;
  told.process = process;
  told.followed = false;
  told.trouble = TroubleOf(hello, terms);
  if (!told.trouble.empty()) {
    lore_.holdings.Clear(replica_.index, Level::kShared);
    if (!Agrees(terms)) differing_ = terms;
    return {};
  }
  if (lore_.terms) terms.context = std::max(terms.context, lore_.terms->context);
  if (lore_.terms != terms) lore_.reader.SetTerms(terms);
  lore_.terms = terms;
  ++lore_.agreeing;
  basis_ = ChainBasis{*identity, static_cast<size_t>(*block_tokens)};
  for (const json::value& place : *places) {
    if (const auto level = LevelOf(&place)) places_[static_cast<size_t>(*level)].expected = true;
  }
  lore_.holdings.SetSharing(replica_.index, places_[static_cast<size_t>(Level::kShared)].expected);
  return {};
}

// What the numbers of a place say; a snapshot begins it anew.
Status ReplicaEvents::Follow(Place& place, const json::object& blocks, Level level) {
  const json::value* number = blocks.if_contains("sequence");
  const auto sequence = number != nullptr ? ToInteger(*number) : std::nullopt;
  if (!sequence || *sequence < 0) return Unreadable("blocks without a number");
  const auto told = static_cast<uint64_t>(*sequence);
  const json::value* part = blocks.if_contains("snapshot");
  if (part == nullptr) {
    if (place.state != State::kWhole || told != place.sequence + 1) {
      return Fail(ErrorCode::kCorrupt, fmt::format("changes of its {} are missing before number {}",
                                                   kLevelNames[static_cast<size_t>(level)], told));
    }
    place.sequence = told;
    return {};
  }
  const bool begins = *part == "begin" || *part == "whole";
  const bool ends = *part == "end" || *part == "whole";
  if (!begins && (place.state != State::kInSnapshot || told != place.sequence)) {
    return Unreadable("a snapshot without its beginning");
  }
  if (begins) lore_.holdings.Clear(replica_.index, level);
  place.state = ends ? State::kWhole : State::kInSnapshot;
  place.sequence = told;
  return {};
}

Status ReplicaEvents::TakeBlocks(const json::object& blocks) {
  const auto level = LevelOf(blocks.if_contains("place"));
  if (!level) return {};  // a place that is not known here
  FieldReader fields(blocks, "blocks");
  std::vector<BlockName> stored, removed;
  const bool read = ReadRuns(fields.Array("stored", kManyNames), stored) &&
                    ReadNames(fields.Array("removed", kManyNames), removed);
  if (!read || !fields.ok()) return Unreadable("blocks without names");
  if (Status follows = Follow(places_[static_cast<size_t>(*level)], blocks, *level); !follows) {
    return follows;
  }
  if (fields.Bool("cleared").value_or(false)) lore_.holdings.Clear(replica_.index, *level);
  for (const BlockName name : removed) lore_.holdings.Remove(replica_.index, *level, name);
  for (const BlockName name : stored) lore_.holdings.Store(replica_.index, *level, name);
  replica_.told.followed = std::ranges::all_of(
      places_, [](const Place& place) { return !place.expected || place.state == State::kWhole; });
  return {};
}

Status ReplicaEvents::TakeReply(const json::object& event) {
  FieldReader fields(event, "reply");
  const std::string tenant(fields.String("tenant").value_or(""));
  const json::object* told = fields.Object("reply");
  if (told == nullptr) return Unreadable("a reply that says nothing");
  FieldReader reply(*told, "reply.reply");
  WrittenReply written{.calls = {},
                       .text = std::string(reply.String("text").value_or("")),
                       .thinking = std::string(reply.String("thinking").value_or("")),
                       .written = std::string(reply.String("written").value_or(""))};
  const json::array* calls = reply.Array("calls", kManyNames);
  for (const json::value& each : calls != nullptr ? *calls : json::array()) {
    if (!each.is_object()) return Unreadable("a call that is no object");
    FieldReader call(each.get_object(), "reply.reply.calls");
    const json::object* arguments = call.Object("arguments");
    written.calls.push_back({.id = std::string(call.String("id").value_or("")),
                             .name = std::string(call.String("name").value_or("")),
                             .arguments = arguments != nullptr ? *arguments : json::object()});
  }
  lore_.reader.replies().Remember(tenant, std::move(written));
  return {};
}

void ReplicaEvents::TakeLoad(const json::object& load, TimePoint now) {
  constexpr double kMost = 1e9;
  FieldReader fields(load, "load");
  const auto number = [&](std::string_view name) {
    return fields.Number(name, 0, kMost).value_or(0);
  };
  ReplicaLoad& told = replica_.told.load;
  told.ahead_seconds = number("ahead_seconds");
  told.seconds_per_token = number("seconds_per_token");
  told.seconds_per_token_and_key = number("seconds_per_token_and_key");
  told.disk_seconds_per_token = number("disk_seconds_per_token");
  told.shared_seconds_per_token = number("shared_seconds_per_token");
  told.told = now;
}

}  // namespace reprise
