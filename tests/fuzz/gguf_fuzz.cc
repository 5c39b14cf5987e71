// libFuzzer over the GGUF reader: whatever the bytes, an Error or a file whose tensors lie inside
// them.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "model/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  const reprise::Result<reprise::GgufFile> file = reprise::GgufFile::Parse(bytes);
  if (!file) return file.error().message.empty() ? (abort(), 1) : 0;
  unsigned sum = 0;
  for (const reprise::GgufTensor& tensor : file->tensors()) {
    if (file->FindTensor(tensor.name) != &tensor) abort();
    // The sanitizer sees a read outside `data`.
    if (!tensor.data.empty()) {
      sum += static_cast<unsigned>(tensor.data.front()) + static_cast<unsigned>(tensor.data.back());
    }
  }
  for (const auto& [key, value] : file->metadata()) {
    if (file->Find(key) != &value) abort();
    if (const auto* text = std::get_if<std::string_view>(&value); text && !text->empty()) {
      sum += static_cast<unsigned char>(text->back());
    }
  }
  volatile unsigned used = sum;
  (void)used;
  return 0;
}
