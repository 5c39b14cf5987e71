#include "model/gguf_parts.h"

#include <fmt/format.h>

#include <cstdint>
#include <string_view>
#include <utility>

#include "base/limits.h"

namespace reprise {
namespace {

// `otherwise` where the key is absent.
Result<int64_t> PartNumber(const std::string& path, const GgufContents& contents,
                           std::string_view key, int64_t otherwise) {
  const auto found = contents.metadata.find(key);
  if (found == contents.metadata.end()) return otherwise;
  const int64_t* value = std::get_if<int64_t>(&found->second);
  if (value != nullptr && *value >= 0) return *value;
  return Fail(ErrorCode::kCorrupt,
              fmt::format("{}: the key '{}' is no number from 0 on", path, key));
}

Status SameNumber(const std::string& path, const GgufContents& contents, std::string_view key,
                  int64_t wanted) {
  const Result<int64_t> number = PartNumber(path, contents, key, -1);
  if (!number) return std::unexpected(number.error());
  if (*number == wanted) return {};
  return Fail(ErrorCode::kCorrupt,
              fmt::format("{} belongs to another model than the files beside it: its key '{}' is "
                          "{} instead of {}",
                          path, key, *number < 0 ? "absent" : std::to_string(*number), wanted));
}

// Not all parts have the keys of the first, but those that they have are the same.
Status SameText(const std::vector<std::string>& paths, const GgufContents& first,
                const GgufContents& part, size_t number) {
  for (const std::string_view key : {"general.architecture", "general.name"}) {
    const auto here = part.metadata.find(key), there = first.metadata.find(key);
    if (here == part.metadata.end() || there == first.metadata.end()) continue;
    if (here->second == there->second) continue;
    return Fail(ErrorCode::kCorrupt,
                fmt::format("{} belongs to another model than {}: their keys '{}' differ",
                            paths[number], paths.front(), key));
  }
  return {};
}

std::string PartEnding(int64_t number, int64_t count) {
  return fmt::format("-{:05}-of-{:05}.gguf", number, count);
}

}  // namespace

Result<std::vector<std::string>> PartPaths(const std::string& path, const GgufContents& contents) {
  const Result<int64_t> count = PartNumber(path, contents, "split.count", 1);
  if (!count) return std::unexpected(count.error());
  if (*count <= 1) return std::vector{path};
  if (*count > limits::kMaxGgufParts) {
    return Fail(ErrorCode::kTooLarge,
                fmt::format("{} is one of {} files of a model, at most {} are read", path, *count,
                            limits::kMaxGgufParts));
  }
  const Result<int64_t> number = PartNumber(path, contents, "split.no", 0);
  if (!number) return std::unexpected(number.error());
  const std::string ending = PartEnding(*number + 1, *count);
  if (!path.ends_with(ending)) {
    return Fail(ErrorCode::kCorrupt,
                fmt::format("{} is file {} of the {} of a model, so its name has to end with {} "
                            "for the others to be found",
                            path, *number + 1, *count, ending));
  }
  std::vector<std::string> paths;
  const std::string_view stem = std::string_view(path).substr(0, path.size() - ending.size());
  for (int64_t i = 1; i <= *count; ++i) {
    paths.push_back(fmt::format("{}{}", stem, PartEnding(i, *count)));
  }
  return paths;
}

Result<GgufContents> JoinParts(const std::vector<std::string>& paths,
                               std::vector<GgufContents> parts) {
  GgufContents joined = std::move(parts.front());
  if (parts.size() == 1) return joined;
  const Result<int64_t> tensors = PartNumber(paths.front(), joined, "split.tensors.count", -1);
  if (!tensors) return std::unexpected(tensors.error());
  const auto count = static_cast<int64_t>(parts.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    GgufContents& part = i == 0 ? joined : parts[i];
    Status same = SameNumber(paths[i], part, "split.count", count);
    if (same) same = SameNumber(paths[i], part, "split.no", static_cast<int64_t>(i));
    if (same) same = SameNumber(paths[i], part, "split.tensors.count", *tensors);
    if (same) same = SameText(paths, joined, part, i);
    if (!same) return std::unexpected(same.error());
    if (i == 0) continue;
    for (GgufTensor& tensor : part.tensors) {
      if (!joined.tensor_positions.emplace(tensor.name, joined.tensors.size()).second) {
        return Fail(ErrorCode::kCorrupt,
                    fmt::format("the tensor '{}' of {} is in another file of the model too",
                                tensor.name, paths[i]));
      }
      joined.tensors.push_back(std::move(tensor));
    }
  }
  if (*tensors >= 0 && static_cast<int64_t>(joined.tensors.size()) != *tensors) {
    return Fail(ErrorCode::kCorrupt,
                fmt::format("the {} files of {} hold {} tensors instead of {}", count,
                            paths.front(), joined.tensors.size(), *tensors));
  }
  return joined;
}

}  // namespace reprise
