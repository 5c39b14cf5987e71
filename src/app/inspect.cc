#include "app/inspect.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <type_traits>
#include <variant>

#include "app/footprint.h"
#include "app/load.h"
#include "app/machine.h"
#include "base/log.h"
#include "hub/model_choice.h"
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

void PrintLine(std::string_view what, std::string_view text) {
  fmt::print("{:<12}{}\n", what, Printable(text));
}

void PrintMemory(const Footprint& footprint, const Footprint::Served& served) {
  const uint64_t memory = MemoryBytes(), needed = footprint.needed_bytes();
  std::string verdict = "fits";
  if (needed > memory) {
    const uint64_t tokens = footprint.resident_bytes < memory
                                ? (memory - footprint.resident_bytes) / served.kv_bytes_per_token
                                : 0;
    verdict = tokens > 0 ? fmt::format("does not fit; a context of {} tokens does", tokens)
                         : "does not fit, whatever the context";
  }
  PrintLine("memory", fmt::format("{} for weights, K and V, of this machine's {}: {}",
                                  SizeText(needed), SizeText(memory), verdict));
}

void PrintFootprint(const Footprint& footprint, size_t files) {
  const std::optional<Footprint::Served>& served = footprint.served;
  if (served) {
    PrintLine("family", served->architecture);
    PrintLine("name", served->name);
  }
  PrintLine("parameters", fmt::format("{}", footprint.parameters));
  std::string types;
  for (const Footprint::OfType& each : footprint.types) {
    types += fmt::format("{}{} {} ({})", types.empty() ? "" : ", ", each.tensors, each.type,
                         SizeText(each.bytes));
  }
  PrintLine("weights", fmt::format("{} in {}: {}; {} in memory with --compute fast",
                                   SizeText(footprint.file_bytes),
                                   files == 1 ? "one file" : fmt::format("{} files", files), types,
                                   SizeText(footprint.resident_bytes)));
  if (!served) {
    PrintLine("served", fmt::format("no: {}", footprint.obstacle));
    return;
  }
  PrintLine("K and V",
            fmt::format("{} bytes a token with --compute fast, {} at a context of {}",
                        served->kv_bytes_per_token, SizeText(served->kv_bytes), served->context));
  if (served->state_bytes > 0) {
    PrintLine("state",
              fmt::format("{} a sequence, of recurrent layers", SizeText(served->state_bytes)));
  }
  PrintLine("context", fmt::format("{} tokens trained", served->trained_context));
  PrintMemory(footprint, *served);
}

}  // namespace

int RunInspect(const InspectOptions& options) {
  const auto path = FindModel(options.model);
  if (!path) return Complain(path.error());
  const auto file = GgufFile::Open(*path);
  if (!file) return Complain(file.error());
  size_t longest = 0;
  for (const auto& [key, value] : file->metadata()) longest = std::max(longest, key.size());
  for (const auto& [key, value] : file->metadata()) {
    fmt::print("{:<{}}  {}\n", Printable(key), longest,
               std::visit([](const auto& held) { return Shown(held); }, value));
  }
  fmt::print("\n");
  PrintTensors(*file);
  fmt::print("\n");
  PrintFootprint(FootprintOf(*file, options.context, options.block_tokens), file->parts().size());
  return 0;
}

}  // namespace reprise
