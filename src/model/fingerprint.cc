#include "model/fingerprint.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>
#include <string_view>
#include <variant>

namespace reprise {
namespace {

// Raised by one whenever a change to kernels or forward pass changes any bit of K or V.
constexpr uint64_t kArithmeticVersion = 1;

// A 64-bit hash over a sequence of items; each item also adds its length, so that moving a byte
// from one item to the next changes the result.
class Hash {
 public:
  void Add(uint64_t value) {
    // The finaliser of splitmix64 (Steele, Lea, Flood 2014) over state and value.
    state_ += value + 0x9E3779B97F4A7C15;
    state_ = (state_ ^ (state_ >> 30)) * 0xBF58476D1CE4E5B9;
    state_ = (state_ ^ (state_ >> 27)) * 0x94D049BB133111EB;
    state_ ^= state_ >> 31;
  }
  void Add(std::span<const std::byte> bytes) {
    Add(bytes.size());
    while (!bytes.empty()) {
      uint64_t word = 0;
      const size_t count = std::min(bytes.size(), sizeof(word));
      std::memcpy(&word, bytes.data(), count);
      Add(word);
      bytes = bytes.subspan(count);
    }
  }
  void Add(std::string_view text) { Add(std::as_bytes(std::span(text))); }

  uint64_t value() const { return state_; }

 private:
  uint64_t state_ = 0;
};

// 16 pieces of 64 bytes, evenly spaced, the first and the last included.
void AddSample(std::span<const std::byte> bytes, Hash* hash) {
  constexpr size_t kPieces = 16, kPieceBytes = 64;
  if (bytes.size() <= kPieces * kPieceBytes) {
    hash->Add(bytes);
    return;
  }
  const size_t last = bytes.size() - kPieceBytes;
  for (size_t i = 0; i < kPieces; ++i) {
    hash->Add(bytes.subspan(last * i / (kPieces - 1), kPieceBytes));
  }
}

void AddScalar(std::string_view key, const GgufFile::Value& value, Hash* hash) {
  if (const int64_t* integer = std::get_if<int64_t>(&value)) {
    hash->Add(key);
    hash->Add(static_cast<uint64_t>(*integer));
  } else if (const double* number = std::get_if<double>(&value)) {
    hash->Add(key);
    hash->Add(std::bit_cast<uint64_t>(*number));
  } else if (const auto* text = std::get_if<std::string_view>(&value)) {
    hash->Add(key);
    hash->Add(*text);
  }
}

}  // namespace

uint64_t Fingerprint(const GgufFile& file, const Model::Options& options) {
  Hash hash;
  hash.Add(kArithmeticVersion);
  hash.Add(file.file_bytes());
  for (const auto& [key, value] : file.metadata()) {
    // How text becomes tokens does not change what tokens compute to.
    if (!key.starts_with("tokenizer.")) AddScalar(key, value, &hash);
  }
  for (const GgufTensor& tensor : file.tensors()) {
    hash.Add(tensor.name);
    hash.Add(tensor.type);
    for (uint64_t dimension : tensor.dimensions) hash.Add(dimension);
    AddSample(tensor.data, &hash);
  }
  hash.Add(static_cast<uint64_t>(options.compute));
  hash.Add(static_cast<uint64_t>(options.isa));
  hash.Add(static_cast<uint64_t>(options.block_tokens));
  return hash.value();
}

}  // namespace reprise
