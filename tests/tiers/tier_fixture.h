#pragma once

// Files that fail as a test says, and blocks whose bits follow from their keys.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fixtures/test_folder.h"
#include "tiers/disk_store.h"

namespace reprise {

class FaultyFiles final : public FileSystem {
 public:
  enum class Fault { kNone, kReadFails, kWriteFails, kSyncFails, kOpenFails, kReadFlipsABit };

  std::atomic<Fault> fault{Fault::kNone};
  std::atomic<int> faults{0};         // that happened
  std::atomic<int> read_delay_ms{0};  // of each read

  Result<std::unique_ptr<BlockFile>> Open(const std::string& path) override {
    if (Happens(Fault::kOpenFails)) return std::unexpected(SystemError("open", path, EACCES));
    auto opened = FileSystem::Open(path);
    if (!opened) return opened;
    return std::make_unique<File>(*this, *std::move(opened), path);
  }

 private:
  class File final : public BlockFile {
   public:
    File(FaultyFiles& files, std::unique_ptr<BlockFile> file, std::string path)
        : files_(files), file_(std::move(file)), path_(std::move(path)) {}

    Status Read(uint64_t offset, std::span<std::byte> head, std::span<std::byte> rest) override {
      if (const int delay = files_.read_delay_ms) {
        std::this_thread::sleep_for(std::chrono::milliseconds(delay));
      }
      if (files_.Happens(Fault::kReadFails))
        return std::unexpected(SystemError("read", path_, EIO));
      Status read = file_->Read(offset, head, rest);
      if (read && !rest.empty() && files_.Happens(Fault::kReadFlipsABit)) {
        rest[offset / 4096 * 7 % rest.size()] ^= std::byte{4};
      }
      return read;
    }
    Status Write(uint64_t offset, std::span<const std::byte> head,
                 std::span<const std::byte> rest) override {
      if (!files_.Happens(Fault::kWriteFails)) return file_->Write(offset, head, rest);
      static_cast<void>(file_->Write(offset, head, rest.first(rest.size() / 2)));  // half of it
      return std::unexpected(SystemError("write", path_, ENOSPC));
    }
    Status Sync() override {
      if (files_.Happens(Fault::kSyncFails))
        return std::unexpected(SystemError("sync", path_, EIO));
      return file_->Sync();
    }
    Status Release(uint64_t offset, uint64_t size) override { return file_->Release(offset, size); }
    Status Truncate() override { return file_->Truncate(); }
    Result<uint64_t> Size() override { return file_->Size(); }
    void Drop(uint64_t offset, uint64_t size) override { file_->Drop(offset, size); }

   private:
    FaultyFiles& files_;
    const std::unique_ptr<BlockFile> file_;
    const std::string path_;
  };

  bool Happens(Fault asked) {
    if (fault != asked) return false;
    ++faults;
    return true;
  }
};

constexpr size_t kTestTokens = 4;
constexpr size_t kTestPayload = 5000;
constexpr uint64_t kTestRecord = 4096 + 8192 + 1024;  // head, payload, and what the index counts

// A chain of blocks; `name` makes another one of it.
struct TestChain {
  explicit TestChain(std::string_view name, size_t blocks) {
    BlockKey key = RootKey(Sha256{}, name);
    for (size_t i = 0; i < blocks; ++i) {
      tokens.push_back({});
      for (size_t j = 0; j < kTestTokens; ++j) {
        tokens.back().push_back(static_cast<TokenId>(i * kTestTokens + j));
      }
      key = ChildKey(key, tokens.back());
      keys.push_back(key);
      payloads.emplace_back(kTestPayload);
      for (size_t j = 0; j < kTestPayload; ++j) {
        payloads.back()[j] = key.bytes[j % key.bytes.size()] ^ static_cast<std::byte>(j / 32);
      }
    }
  }

  BlockUse Use(size_t i, WallSeconds when, int64_t ttl = 0) const {
    return {keys[i], static_cast<uint32_t>(i), when, {ttl}};
  }
  std::vector<BlockWrite> Writes(WallSeconds when, int64_t ttl = 0) const {
    std::vector<BlockWrite> writes;
    for (size_t i = 0; i < keys.size(); ++i) {
      writes.push_back({Use(i, when, ttl), tokens[i], payloads[i]});
    }
    return writes;
  }
  // The code of what failed; nothing: it was read, and is right.
  std::optional<ErrorCode> Read(BlockStore& store, size_t i) const {
    std::vector<std::byte> payload(kTestPayload);
    const Status read = store.Read(keys[i], tokens[i], payload);
    if (!read) return read.error().code;
    EXPECT_EQ(payload, payloads[i]) << "a wrong bit";
    return std::nullopt;
  }

  std::vector<BlockKey> keys;
  std::vector<std::vector<TokenId>> tokens;
  std::vector<std::vector<std::byte>> payloads;
};

}  // namespace reprise
