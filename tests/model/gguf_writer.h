#pragma once

// Makes GGUF bytes in memory: honest by default, and lying where a test asks for it (any count,
// offset, type or dimension may be given). For tests alone; one thread.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reprise {

class GgufWriter {
 public:
  // -- Metadata, written in the order of the calls ---------------------------------------------
  void Uint32(std::string_view key, uint32_t value) { Key(key, 4, value); }
  void Uint64(std::string_view key, uint64_t value) { Key(key, 10, value); }
  void Float32(std::string_view key, float value) { Key(key, 6, value); }
  void Bool(std::string_view key, bool value) { Key(key, 7, static_cast<uint8_t>(value)); }
  void String(std::string_view key, std::string_view value);
  void Strings(std::string_view key, const std::vector<std::string>& values);
  void Int32s(std::string_view key, const std::vector<int32_t>& values);
  // A key with any type number and any bytes as its value.
  void Raw(std::string_view key, uint32_t type, const std::vector<std::byte>& value);

  // -- Tensors ---------------------------------------------------------------------------------
  struct Tensor {
    std::string name;
    std::vector<uint64_t> dimensions;
    uint32_t type = 0;
    std::vector<std::byte> data;
    std::optional<uint64_t> offset;  // none: the next place that fits
  };
  void Add(Tensor tensor) { tensors_.push_back(std::move(tensor)); }

  // -- Gaps --------------------------------------------------------------------------------------
  // Takes out what was written under that name. REQUIRES: it was.
  void RemoveKey(std::string_view key);
  Tensor RemoveTensor(std::string_view name);

  // -- Lies --------------------------------------------------------------------------------------
  uint32_t version = 3;
  std::optional<uint64_t> tensor_count;
  std::optional<uint64_t> key_count;

  // The file; it ends with the last byte of the last tensor.
  std::vector<std::byte> Finish(uint64_t alignment = 32) const;

  template <typename T>
  static void Append(std::vector<std::byte>& to, const T& value) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    for (size_t i = 0; i < sizeof(T); ++i) to.push_back(bytes[i]);
  }
  static void AppendString(std::vector<std::byte>& to, std::string_view value);

 private:
  template <typename T>
  void Key(std::string_view key, uint32_t type, T value) {
    std::vector<std::byte> bytes;
    Append(bytes, value);
    Raw(key, type, bytes);
  }

  struct Entry {
    std::string key;
    std::vector<std::byte> bytes;  // type and value
  };
  std::vector<Entry> entries_;
  std::vector<Tensor> tensors_;
};

}  // namespace reprise
