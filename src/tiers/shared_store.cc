#include "tiers/shared_store.h"

#include <fmt/format.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "base/fleet_limits.h"
#include "base/log.h"

namespace reprise {
namespace {

using SteadyNow = std::chrono::steady_clock;

// Records that are sent, or were asked for, before their replies are read; one at least.
constexpr size_t kPipelineBytes = 4u << 20;
constexpr size_t kPipelineCommands = 1000;  // of small ones

// A store that always says that there is more must not keep the writer.
constexpr auto kMostClearing = std::chrono::minutes(1);

Error Refusal(const StoreConnection& by, const redisReply& reply) {
  return {ErrorCode::kIo, fmt::format("{} refuses: {}", by.label(), TextOf(reply)), {}};
}

bool IsError(const redisReply& reply, std::string_view kind = {}) {
  return reply.type == REDIS_REPLY_ERROR && TextOf(reply).starts_with(kind);
}

// Sends what was added, and shows its `count` replies. The store's errors end it, but for OOM.
Status Ask(StoreConnection& connection, size_t count, StoreDeadline deadline,
           const std::function<void(size_t, const redisReply&)>& take = {}) {
  if (Status sent = connection.Flush(deadline); !sent) return sent;
  for (size_t i = 0; i < count; ++i) {
    const Result<StoreReply> reply = connection.Receive(deadline);
    if (!reply) return std::unexpected(reply.error());
    if (IsError(**reply) && !IsError(**reply, "OOM")) {
      return std::unexpected(Refusal(connection, **reply));
    }
    if (take) take(i, **reply);
  }
  return {};
}

}  // namespace

SharedStore::SharedStore(Options options)
    : options_(std::move(options)),
      records_(options_.secret),
      record_bytes_(SharedRecords::Bytes(options_.block_tokens, options_.payload_bytes)),
      known_(limits::kMaxKnownBlocks) {
  for (const StoreAddress& address : options_.stores) {
    const std::string label = address.Label();
    stores_.push_back(std::make_unique<Store>());
    stores_.back()->address = address;
    stores_.back()->seed = XXH3_64bits(label.data(), label.size());
  }
}

SharedStore::~SharedStore() = default;

Result<std::unique_ptr<SharedStore>> SharedStore::Open(Options options) {
  std::unique_ptr<SharedStore> store(new SharedStore(std::move(options)));
  const auto& stores = store->options_.stores;
  if (std::ranges::any_of(stores, &StoreAddress::tls)) {
    auto tls = OpenTlsContext(store->options_.ca_file);
    if (!tls) return std::unexpected(tls.error());
    store->tls_ = *std::move(tls);
  }
  for (size_t i = 0; i < stores.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (stores[i].Label() != stores[j].Label()) continue;
      return Fail(ErrorCode::kInvalidArgument,
                  fmt::format("the shared store {} was given twice", stores[i].Label()));
    }
  }
  return store;
}

// The store whose hash with the key is the highest.
size_t SharedStore::IndexOf(const BlockKey& key) const {
  size_t best = 0;
  uint64_t highest = 0;
  for (size_t i = 0; i < stores_.size(); ++i) {
    const uint64_t hash =
        XXH3_64bits_withSeed(key.bytes.data(), key.bytes.size(), stores_[i]->seed);
    if (i > 0 && hash <= highest) continue;
    best = i;
    highest = hash;
  }
  return best;
}

// ---- talking to a store -----------------------------------------------------------------------

StoreDeadline SharedStore::DeadlineFor(size_t bytes) const {
  return SteadyNow::now() + options_.deadline + options_.per_byte * bytes;
}

bool SharedStore::Rests(const Line& line) { return SteadyNow::now() < line.rests_until; }

void SharedStore::LeaveAlone(Line& line, const Error& error) const {
  const std::chrono::milliseconds before = line.pause;
  line.pause =
      before.count() == 0 ? options_.first_pause : std::min(2 * before, options_.longest_pause);
  line.rests_until = SteadyNow::now() + line.pause.load();
  if (before.count() > 0) return;
  LogWarning("the shared cache: {}; it is left alone for {}, and tried again now and then",
             error.message, line.what);
}

void SharedStore::Answered(const Store& store, Line& line) {
  if (line.pause.load().count() == 0) return;
  line.pause = std::chrono::milliseconds(0);
  LogInfo("the shared cache: {} answers again, for {}", store.address.Label(), line.what);
}

Status SharedStore::Converse(Store& store, Line& line, const Talk& talk) {
  if (line.connection == nullptr) {
    line.asked.clear();
    auto opened = StoreConnection::Open(store.address, tls_.get(), record_bytes_, DeadlineFor(0));
    if (!opened) return std::unexpected(opened.error());
    line.connection = *std::move(opened);
  }
  return talk(*line.connection);
}

Status SharedStore::With(Store& store, Line& line, const Talk& talk) {
  if (Rests(line)) {
    return Fail(ErrorCode::kOverloaded,
                fmt::format("{} does not answer and is left alone", store.address.Label()));
  }
  const bool was_open = line.connection != nullptr;
  Status done = Converse(store, line, talk);
  if (!done && was_open && line.connection->closed()) {
    // It was idle for too long, or the store began anew.
    line.connection.reset();
    done = Converse(store, line, talk);
  }
  if (done || done.error().code == ErrorCode::kNotFound ||
      done.error().code == ErrorCode::kCorrupt) {
    Answered(store, line);
    return done;
  }
  line.connection.reset();
  line.asked.clear();
  LeaveAlone(line, done.error());
  return done;
}

std::vector<Error> SharedStore::Greet() {
  std::vector<Error> wrong;
  for (const auto& store : stores_) {
    const Status there =
        With(*store, store->reading, [](StoreConnection&) -> Status { return {}; });
    if (!there) wrong.push_back(there.error());
  }
  return wrong;
}

StoreSizes SharedStore::sizes() const {
  StoreSizes sizes;
  sizes.stores = stores_.size();
  for (const auto& store : stores_) {
    sizes.stores_away += store->reading.pause.load().count() > 0;
  }
  return sizes;
}

// ---- the reader -------------------------------------------------------------------------------

Status SharedStore::Drain(Line& line) {
  const StoreDeadline deadline = DeadlineFor(line.asked.size() * record_bytes_);
  for (; !line.asked.empty(); line.asked.pop_front()) {
    if (auto reply = line.connection->Receive(deadline); !reply) {
      return std::unexpected(reply.error());
    }
  }
  return {};
}

size_t SharedStore::Find(std::span<const BlockKey> chain) {
  const std::vector<bool> there = Which(chain);
  return static_cast<size_t>(std::ranges::find(there, false) - there.begin());
}

size_t SharedStore::FindLast(std::span<const BlockKey> keys) {
  const std::vector<bool> there = Which(keys);
  size_t count = there.size();
  while (count > 0 && !there[count - 1]) --count;
  return count;
}

std::vector<bool> SharedStore::Which(std::span<const BlockKey> keys) {
  std::vector<std::vector<size_t>> parts(stores_.size());
  for (size_t i = 0; i < keys.size(); ++i) parts[IndexOf(keys[i])].push_back(i);
  std::vector<bool> there(keys.size());
  for (size_t s = 0; s < stores_.size(); ++s) {
    Line& line = stores_[s]->reading;
    line.announced.clear();
    if (parts[s].empty()) continue;
    static_cast<void>(With(*stores_[s], line, [&](StoreConnection& connection) -> Status {
      if (Status drained = Drain(line); !drained) return drained;
      for (const size_t i : parts[s]) connection.Add({"EXISTS", records_.Name(keys[i])});
      const auto take = [&](size_t i, const redisReply& reply) {
        there[parts[s][i]] = reply.type == REDIS_REPLY_INTEGER && reply.integer == 1;
        const BlockName name = NameOf(keys[parts[s][i]]);
        there[parts[s][i]] ? known_.Add(name) : known_.Remove(name);
      };
      return Ask(connection, parts[s].size(), DeadlineFor(0), take);
    }));
  }
  return there;
}

TierMiss SharedStore::WhyMissing(const BlockKey& key) const {
  return Rests(stores_[IndexOf(key)]->reading) ? TierMiss::kFailed : TierMiss::kAbsent;
}

void SharedStore::Announce(std::span<const BlockKey> chain) {
  for (const auto& store : stores_) store->reading.announced.clear();
  for (const BlockKey& key : chain) StoreOf(key).reading.announced.push_back(key);
}

// Asks for what comes next, as far as may be on its way at once.
Status SharedStore::AskAhead(Line& line, StoreConnection& connection) {
  const size_t most = std::max<size_t>(kPipelineBytes / record_bytes_, 1);
  bool added = false;
  for (; !line.announced.empty() && line.asked.size() < most; line.announced.pop_front()) {
    connection.Add({"GET", records_.Name(line.announced.front())});
    line.asked.push_back(line.announced.front());
    added = true;
  }
  return added ? connection.Flush(DeadlineFor(0)) : Status();
}

Status SharedStore::TakeReply(const BlockKey& key, std::span<const TokenId> tokens,
                              std::span<std::byte> payload, StoreConnection& connection) {
  const Result<StoreReply> reply = connection.Receive(DeadlineFor(record_bytes_));
  if (!reply) return std::unexpected(reply.error());
  StoreOf(key).reading.asked.pop_front();
  switch ((*reply)->type) {
    case REDIS_REPLY_NIL:
      known_.Remove(NameOf(key));
      return Fail(ErrorCode::kNotFound, "the block is not stored any more");
    case REDIS_REPLY_STRING:
      return records_.Open(key, tokens, TextOf(**reply), payload);
    default:
      break;
  }
  if (IsError(**reply, "WRONGTYPE")) {
    return Fail(ErrorCode::kCorrupt, fmt::format("the record {} is no text", records_.Name(key)));
  }
  return std::unexpected(Refusal(connection, **reply));
}

Status SharedStore::Read(const BlockKey& key, std::span<const TokenId> tokens,
                         std::span<std::byte> payload) {
  Store& store = StoreOf(key);
  Line& line = store.reading;
  return With(store, line, [&](StoreConnection& connection) -> Status {
    const std::deque<BlockKey>& first = line.asked.empty() ? line.announced : line.asked;
    if (first.empty() || first.front() != key) {
      if (Status drained = Drain(line); !drained) return drained;
      line.announced.assign(1, key);
    }
    if (Status asked = AskAhead(line, connection); !asked) return asked;
    const Status read = TakeReply(key, tokens, payload, connection);
    if (read || read.error().code != ErrorCode::kCorrupt) return read;
    // It would be refused again and again; whoever computes the block now may store it anew.
    if (Status drained = Drain(line); !drained) return drained;
    connection.Add({"UNLINK", records_.Name(key)});
    known_.Remove(NameOf(key));
    const Status removed = Ask(connection, 1, DeadlineFor(0));
    return removed ? read : removed;
  });
}

// ---- the writer -------------------------------------------------------------------------------

// Until when it lives, from now on.
std::string SharedStore::Seconds(const BlockUse& use, WallSeconds now) const {
  const int64_t promised = use.keep.ttl > 0 ? use.when + use.keep.ttl - now : 0;
  return std::to_string(std::max({options_.retention, promised, int64_t{1}}));
}

Status SharedStore::WriteTo(StoreConnection& connection, std::span<const BlockWrite* const> blocks,
                            WallSeconds now, WriteOutcome& outcome) {
  std::vector<std::string> names;
  names.reserve(blocks.size());
  for (const BlockWrite* block : blocks) {
    names.push_back(records_.Name(block->use.key));
    // Another server may have written it; then its lifetime begins anew, but is not shortened.
    connection.Add({"EXPIRE", names.back(), Seconds(block->use, now), "GT"});
    connection.Add({"EXISTS", names.back()});
  }
  std::vector<size_t> fresh;
  Status done =
      Ask(connection, 2 * blocks.size(), DeadlineFor(0), [&](size_t i, const redisReply& reply) {
        if (i % 2 == 0) return;
        if (reply.integer == 0) {
          fresh.push_back(i / 2);
        } else {
          known_.Add(NameOf(blocks[i / 2]->use.key));
        }
      });
  if (!done) return done;
  outcome.known += blocks.size() - fresh.size();
  for (const size_t i : fresh) {
    const BlockWrite& block = *blocks[i];
    connection.Add({"SET", names[i], records_.Seal(block.use.key, block.tokens, block.payload),
                    "EX", Seconds(block.use, now)});
  }
  return Ask(connection, fresh.size(), DeadlineFor(fresh.size() * record_bytes_),
             [&](size_t i, const redisReply& reply) {
               const bool refused = IsError(reply, "OOM");
               ++(refused ? outcome.refused : outcome.written);
               if (!refused) known_.Add(NameOf(blocks[fresh[i]]->use.key));
             });
}

Result<WriteOutcome> SharedStore::Write(std::span<const BlockWrite> blocks, WallSeconds now) {
  std::vector<std::vector<const BlockWrite*>> parts(stores_.size());
  for (const BlockWrite& block : blocks) parts[IndexOf(block.use.key)].push_back(&block);
  WriteOutcome outcome;
  Status all;
  const size_t most = std::max<size_t>(kPipelineBytes / record_bytes_, 1);
  for (size_t s = 0; s < stores_.size(); ++s) {
    std::span<const BlockWrite* const> left(parts[s]);
    while (!left.empty()) {
      const auto some = left.first(std::min(most, left.size()));
      const Status done = With(*stores_[s], stores_[s]->writing, [&](StoreConnection& connection) {
        return WriteTo(connection, some, now, outcome);
      });
      if (!done) {
        outcome.refused += left.size();
        if (done.error().code != ErrorCode::kOverloaded) all = done;
        break;
      }
      left = left.subspan(some.size());
    }
  }
  if (!all) return std::unexpected(all.error());
  return outcome;
}

Status SharedStore::Use(std::span<const BlockUse> uses) {
  const WallSeconds now = WallSecondsNow();
  std::vector<std::vector<const BlockUse*>> parts(stores_.size());
  for (const BlockUse& use : uses) parts[IndexOf(use.key)].push_back(&use);
  Status all;
  for (size_t s = 0; s < stores_.size(); ++s) {
    for (size_t begin = 0; begin < parts[s].size(); begin += kPipelineCommands) {
      const size_t count = std::min(kPipelineCommands, parts[s].size() - begin);
      const Status done =
          With(*stores_[s], stores_[s]->writing, [&](StoreConnection& connection) -> Status {
            for (size_t i = begin; i < begin + count; ++i) {
              const BlockUse& use = *parts[s][i];
              connection.Add({"EXPIRE", records_.Name(use.key), Seconds(use, now), "GT"});
            }
            return Ask(connection, count, DeadlineFor(0));
          });
      if (done) continue;
      if (done.error().code != ErrorCode::kOverloaded) all = done;
      break;
    }
  }
  return all;
}

// Of all servers, models and tenants: who has a store emptied wants nothing of ours to be left.
Status SharedStore::ClearStore(StoreConnection& connection) {
  const std::string pattern = std::string(kSharedPrefix) + "*";
  const SteadyNow::time_point end = SteadyNow::now() + kMostClearing;
  std::string cursor = "0";
  do {
    size_t names = 0;
    connection.Add({"SCAN", cursor, "MATCH", pattern, "COUNT", "1000"});
    const auto take = [&](size_t, const redisReply& page) {
      if (page.type != REDIS_REPLY_ARRAY || page.elements != 2) return;
      cursor = TextOf(*page.element[0]);
      names = page.element[1]->elements;
      for (size_t i = 0; i < names; ++i) {
        connection.Add({"UNLINK", TextOf(*page.element[1]->element[i])});
      }
    };
    if (Status found = Ask(connection, 1, DeadlineFor(0), take); !found) return found;
    if (Status gone = Ask(connection, names, DeadlineFor(0)); !gone) return gone;
  } while (cursor != "0" && SteadyNow::now() < end);
  if (cursor == "0") return {};
  return Fail(ErrorCode::kIo,
              fmt::format("{} has more than could be removed in a minute", connection.label()));
}

Status SharedStore::ForEachHeld(const std::function<void(BlockName)>& visit,
                                const std::function<void(bool all)>& done) const {
  known_.ForEach(visit, done);
  return {};
}

Status SharedStore::Clear() {
  known_.Clear();
  Status all;
  for (const auto& store : stores_) {
    const Status done = With(*store, store->writing,
                             [&](StoreConnection& connection) { return ClearStore(connection); });
    if (!done) all = done;
  }
  return all;
}

}  // namespace reprise
