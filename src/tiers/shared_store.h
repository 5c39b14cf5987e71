#pragma once

// Blocks in stores that machines share: Redis or Valkey, of version 7 on. Which of several stores
// has a block follows from its key (rendezvous hashing: each store gets its share, and one more or
// less moves only its own). Lifetimes are the stores' expiry; for want of room they evict as their
// operator told them (maxmemory-policy). What a record is: shared_record.h.
//
// A store that does not answer costs one deadline; then it is left alone for a second, then two, up
// to a minute, and what it holds is a miss meanwhile. The reader and the writer have a connection
// to each store of their own, and leave it alone on their own: one that takes nothing may be read.
//
// See block_store.h for threads.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tiers/block_store.h"
#include "tiers/known_blocks.h"
#include "tiers/shared_record.h"
#include "tiers/store_connection.h"
#include "tiers/store_url.h"

namespace reprise {

class SharedStore final : public BlockStore {
 public:
  struct Options {
    std::vector<StoreAddress> stores;  // not empty
    std::string secret;                // empty: records carry a checksum only
    std::string ca_file;               // for TLS; empty: the system's
    size_t payload_bytes = 0;
    size_t block_tokens = 0;
    int64_t retention = 24 * 3600;  // seconds unused, of what nothing promises
    // Of each talk with a store; and a byte may take so long besides.
    std::chrono::milliseconds deadline{500};
    std::chrono::nanoseconds per_byte{500};  // 2 MB/s
    std::chrono::milliseconds first_pause{1000}, longest_pause{60'000};
  };

  // Connects to none of them yet. kInvalidArgument.
  static Result<std::unique_ptr<SharedStore>> Open(Options options);
  ~SharedStore() override;

  // Asks each whether it is there; what is wrong, of those that are not.
  std::vector<Error> Greet();

  // What was stored by this process or found, and not missed since.
  void SetListener(StoreListener* listener) override { known_.SetListener(listener); }
  Status ForEachHeld(const std::function<void(BlockName)>& visit,
                     const std::function<void(bool all)>& done) const override;

  size_t Find(std::span<const BlockKey> chain) override;
  size_t FindLast(std::span<const BlockKey> keys) override;
  TierMiss WhyMissing(const BlockKey& key) const override;
  void Announce(std::span<const BlockKey> chain) override;
  Status Read(const BlockKey& key, std::span<const TokenId> tokens,
              std::span<std::byte> payload) override;
  Result<WriteOutcome> Write(std::span<const BlockWrite> blocks, WallSeconds now) override;
  Status Use(std::span<const BlockUse> uses) override;
  Status Clear() override;
  StoreSizes sizes() const override;

 private:
  // What one thread says to a store, and what it was promised to be asked for.
  struct Line {
    const char* what;  // it is for
    std::unique_ptr<StoreConnection> connection = {};
    std::deque<BlockKey> announced = {};  // not asked for yet
    std::deque<BlockKey> asked = {};      // GETs whose replies have not come
    std::chrono::steady_clock::time_point rests_until{};
    std::atomic<std::chrono::milliseconds> pause{};  // 0: it answers
  };
  struct Store {
    StoreAddress address;
    uint64_t seed = 0;  // of its hash
    Line reading{"reading"}, writing{"writing"};
  };
  using Talk = std::function<Status(StoreConnection&)>;

  explicit SharedStore(Options options);
  size_t IndexOf(const BlockKey& key) const;
  Store& StoreOf(const BlockKey& key) { return *stores_[IndexOf(key)]; }
  StoreDeadline DeadlineFor(size_t bytes) const;
  static bool Rests(const Line& line);
  // Connects if need be.
  Status Converse(Store& store, Line& line, const Talk& talk);
  // The same, once more where the connection had been closed. An Error of `talk` but kNotFound and
  // kCorrupt has the store left alone.
  Status With(Store& store, Line& line, const Talk& talk);
  void LeaveAlone(Line& line, const Error& error) const;
  static void Answered(const Store& store, Line& line);
  std::vector<bool> Which(std::span<const BlockKey> keys);  // are there
  // So that the next reply is the next command's.
  Status Drain(Line& line);
  Status AskAhead(Line& line, StoreConnection& connection);
  Status TakeReply(const BlockKey& key, std::span<const TokenId> tokens,
                   std::span<std::byte> payload, StoreConnection& connection);
  Status WriteTo(StoreConnection& connection, std::span<const BlockWrite* const> blocks,
                 WallSeconds now, WriteOutcome& outcome);
  Status ClearStore(StoreConnection& connection);
  std::string Seconds(const BlockUse& use, WallSeconds now) const;

  const Options options_;
  const SharedRecords records_;
  const size_t record_bytes_;
  std::shared_ptr<ssl_ctx_st> tls_;
  std::vector<std::unique_ptr<Store>> stores_;
  KnownBlocks known_;
};

}  // namespace reprise
