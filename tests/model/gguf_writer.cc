#include "gguf_writer.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace reprise {

void GgufWriter::AppendString(std::vector<std::byte>& to, std::string_view value) {
  Append(to, static_cast<uint64_t>(value.size()));
  for (char c : value) to.push_back(static_cast<std::byte>(c));
}

void GgufWriter::Raw(std::string_view key, uint32_t type, const std::vector<std::byte>& value) {
  std::vector<std::byte> bytes;
  Append(bytes, type);
  bytes.insert(bytes.end(), value.begin(), value.end());
  entries_.push_back({std::string(key), std::move(bytes)});
}

void GgufWriter::RemoveKey(std::string_view key) {
  const auto found = std::ranges::find(entries_, key, &Entry::key);
  CHECK(found != entries_.end(), "a test removes what is there");
  entries_.erase(found);
}

GgufWriter::Tensor GgufWriter::RemoveTensor(std::string_view name) {
  const auto found = std::ranges::find(tensors_, name, &Tensor::name);
  CHECK(found != tensors_.end(), "a test removes what is there");
  Tensor tensor = std::move(*found);
  tensors_.erase(found);
  return tensor;
}

void GgufWriter::String(std::string_view key, std::string_view value) {
  std::vector<std::byte> bytes;
  AppendString(bytes, value);
  Raw(key, 8, bytes);
}

void GgufWriter::Strings(std::string_view key, const std::vector<std::string>& values) {
  std::vector<std::byte> bytes;
  Append(bytes, uint32_t{8});
  Append(bytes, static_cast<uint64_t>(values.size()));
  for (const std::string& value : values) AppendString(bytes, value);
  Raw(key, 9, bytes);
}

void GgufWriter::Int32s(std::string_view key, const std::vector<int32_t>& values) {
  std::vector<std::byte> bytes;
  Append(bytes, uint32_t{5});
  Append(bytes, static_cast<uint64_t>(values.size()));
  for (int32_t value : values) Append(bytes, value);
  Raw(key, 9, bytes);
}

std::vector<std::byte> GgufWriter::Finish(uint64_t alignment) const {
  const auto round_up = [alignment](uint64_t value) {
    return (value + alignment - 1) / alignment * alignment;
  };
  std::vector<std::byte> file;
  for (char c : {'G', 'G', 'U', 'F'}) file.push_back(static_cast<std::byte>(c));
  Append(file, version);
  Append(file, tensor_count.value_or(tensors_.size()));
  Append(file, key_count.value_or(entries_.size()));
  for (const Entry& entry : entries_) {
    AppendString(file, entry.key);
    file.insert(file.end(), entry.bytes.begin(), entry.bytes.end());
  }
  std::vector<uint64_t> places;
  uint64_t next = 0;
  for (const Tensor& tensor : tensors_) {
    places.push_back(next);
    AppendString(file, tensor.name);
    Append(file, static_cast<uint32_t>(tensor.dimensions.size()));
    for (uint64_t dimension : tensor.dimensions) Append(file, dimension);
    Append(file, tensor.type);
    Append(file, tensor.offset.value_or(next));
    next = round_up(next + tensor.data.size());
  }
  const uint64_t start = round_up(file.size());
  for (size_t i = 0; i < tensors_.size(); ++i) {
    file.resize(static_cast<size_t>(start + places[i]));
    file.insert(file.end(), tensors_[i].data.begin(), tensors_[i].data.end());
  }
  return file;
}

}  // namespace reprise
