#pragma once

// A GGUF v3 file, or the several files of one model (gguf_parts.h), memory-mapped read-only. Every
// offset, count and length is checked against the
// file before use: a truncated or lying file is an Error (kCorrupt), never a crash. Knows the
// format, nothing about models. Format: ggml-org/ggml docs/gguf.md. Immutable after Open; any
// thread. Views (strings, tensors) live as long as the GgufFile.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"

namespace reprise {

struct GgufTensor {
  std::string_view name;
  uint32_t type = 0;                 // ggml_type; WeightBlockOf says whether we can read it
  std::vector<uint64_t> dimensions;  // as in the file: innermost first, 1 to 4
  std::span<const std::byte>
      data;  // exactly the tensor's bytes; empty if the type is unknown to us
};

// A file as it lies on the disk.
struct GgufPart {
  std::string path;  // empty with Parse
  std::span<const std::byte> content;
};

class GgufFile {
 public:
  using StringArray = std::vector<std::string_view>;
  // Numbers are widened: every integer kind to int64 (uint64 over 2^63-1 is kCorrupt), floats to
  // double.
  using Value = std::variant<int64_t, double, bool, std::string_view, StringArray,
                             std::vector<int64_t>, std::vector<double>, std::vector<bool>>;

  // Of a split model any part may be named; the others are looked for beside it. Then the keys are
  // the first part's and the tensors those of all.
  static Result<GgufFile> Open(const std::string& path);
  // The same over the bytes of a single file in memory (tests, fuzzing); `bytes` must outlive the
  // GgufFile.
  static Result<GgufFile> Parse(std::span<const std::byte> bytes);

  GgufFile(GgufFile&&) noexcept;
  GgufFile& operator=(GgufFile&&) noexcept;
  ~GgufFile();

  // nullptr where there is no such key / tensor.
  const Value* Find(std::string_view key) const;
  const GgufTensor* FindTensor(std::string_view name) const;

  // Typed access: nullopt when absent; kCorrupt when present with another type.
  Result<std::optional<int64_t>> Integer(std::string_view key) const;
  Result<std::optional<double>> Number(std::string_view key) const;  // an integer counts too
  Result<std::optional<bool>> Boolean(std::string_view key) const;
  Result<std::optional<std::string_view>> String(std::string_view key) const;

  const std::map<std::string_view, Value>& metadata() const;
  const std::vector<GgufTensor>& tensors() const;
  size_t file_bytes() const;                   // of all parts
  const std::vector<GgufPart>& parts() const;  // in their order

  // Tells the system that the mapped pages are not needed any more (after packing).
  void DropPages() const;

 private:
  struct Impl;
  explicit GgufFile(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace reprise
