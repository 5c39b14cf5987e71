#pragma once

// A connection to Redis or Valkey on which commands are pipelined, each wait up to a deadline. The
// protocol (RESP2) is hiredis'; the socket is ours, because hiredis bounds each read and not the
// whole, and Debian's has no TLS.
//
// One user at a time. After an Error it is of no use any more.

#include <hiredis/hiredis.h>

#include <chrono>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "tiers/store_url.h"

struct ssl_ctx_st;
struct ssl_st;

namespace reprise {

using StoreDeadline = std::chrono::steady_clock::time_point;

// What certificates of stores are verified with: those of `ca_file`; empty: the system's.
// kInvalidArgument: it cannot be read.
Result<std::shared_ptr<ssl_ctx_st>> OpenTlsContext(const std::string& ca_file);

struct StoreReplyFree {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using StoreReply = std::unique_ptr<redisReply, StoreReplyFree>;

inline std::string_view TextOf(const redisReply& reply) { return {reply.str, reply.len}; }

class StoreConnection {
 public:
  // Connected, known to the store, and in the right database. `tls` may be null without TLS;
  // no reply may have more than `reply_bytes`. kIo with a sentence that names the store.
  static Result<std::unique_ptr<StoreConnection>> Open(const StoreAddress& address, ssl_ctx_st* tls,
                                                       size_t reply_bytes, StoreDeadline deadline);
  ~StoreConnection();
  StoreConnection(const StoreConnection&) = delete;
  StoreConnection& operator=(const StoreConnection&) = delete;

  const std::string& label() const { return label_; }
  // The store has closed it, as stores do with those that were idle for long.
  bool closed() const { return closed_; }

  // Will be sent by Flush.
  void Add(std::initializer_list<std::string_view> words);
  Status Flush(StoreDeadline deadline);
  // The reply to the oldest command that has none yet; errors of the store are such a reply too.
  Result<StoreReply> Receive(StoreDeadline deadline);

 private:
  struct ReaderFree {
    void operator()(redisReader* reader) const { redisReaderFree(reader); }
  };
  enum class Direction : uint8_t { kRead, kWrite };

  StoreConnection(std::string label, size_t reply_bytes);
  Status Connect(const StoreAddress& address, StoreDeadline deadline);
  Status StartTls(const StoreAddress& address, ssl_ctx_st* tls, StoreDeadline deadline);
  Status Introduce(const StoreAddress& address, StoreDeadline deadline);
  Status Await(Direction direction, StoreDeadline deadline);
  // Bytes moved; 0: none now, and what is to be awaited is in `next`.
  Result<size_t> Move(Direction direction, char* data, size_t size, Direction& next);
  Error Broken(std::string_view what) const;

  const std::string label_;
  const size_t reply_bytes_;
  int socket_ = -1;
  ssl_st* ssl_ = nullptr;
  std::unique_ptr<redisReader, ReaderFree> reader_;
  std::string out_;
  std::vector<char> in_;
  size_t received_ = 0;  // since the last whole reply
  bool closed_ = false;
};

}  // namespace reprise
