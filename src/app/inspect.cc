#include "app/inspect.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <type_traits>
#include <variant>

#include "app/load.h"
#include "base/log.h"
#include "kernels/operations.h"
#include "model/gguf.h"

namespace reprise {
namespace {

constexpr size_t kShownBytes = 60;    // of a text
constexpr size_t kShownElements = 4;  // of an array

// Quoted, control characters escaped, long texts cut with their full length.
std::string Shown(std::string_view text) {
  if (text.size() <= kShownBytes) return fmt::format("{:?}", text);
  return fmt::format("{:?}… ({} bytes)", text.substr(0, kShownBytes), text.size());
}

template <typename T>
std::string Shown(const std::vector<T>& elements) {
  std::string shown = fmt::format("{} elements: [", elements.size());
  for (size_t i = 0; i < std::min(elements.size(), kShownElements); ++i) {
    if (i > 0) shown += ", ";
    if constexpr (std::is_same_v<T, std::string_view>) {
      shown += Shown(elements[i]);
    } else {
      shown += fmt::format("{}", static_cast<T>(elements[i]));
    }
  }
  return shown + (elements.size() > kShownElements ? ", …]" : "]");
}

template <typename T>
requires std::is_arithmetic_v<T> std::string Shown(T value) { return fmt::format("{}", value); }

std::string TypeText(uint32_t type) {
  if (!WeightBlockOf(type)) return fmt::format("type {}", type);
  return std::string(WeightTypeName(static_cast<WeightType>(type)));
}

void PrintTensors(const GgufFile& file) {
  size_t longest = 0, total = 0;
  std::map<std::string, size_t> count_of_type;
  for (const GgufTensor& tensor : file.tensors()) {
    longest = std::max(longest, tensor.name.size());
  }
  for (const GgufTensor& tensor : file.tensors()) {
    const std::string type = TypeText(tensor.type);
    fmt::print("{:<{}}  {:<8}  {:>12} bytes  [{}]\n", Printable(tensor.name), longest, type,
               tensor.data.size(), fmt::join(tensor.dimensions, ", "));
    ++count_of_type[type];
    total += tensor.data.size();
  }
  fmt::print("\n{} tensors, {} bytes:", file.tensors().size(), total);
  for (const auto& [type, count] : count_of_type) fmt::print(" {} {}", count, type);
  fmt::print("\n");
}

}  // namespace

int RunInspect(const InspectOptions& options) {
  const auto file = GgufFile::Open(options.model);
  if (!file) return Complain(file.error());
  size_t longest = 0;
  for (const auto& [key, value] : file->metadata()) longest = std::max(longest, key.size());
  for (const auto& [key, value] : file->metadata()) {
    fmt::print("{:<{}}  {}\n", Printable(key), longest,
               std::visit([](const auto& held) { return Shown(held); }, value));
  }
  fmt::print("\n");
  PrintTensors(*file);
  return 0;
}

}  // namespace reprise
