#include "vendor/anthropic/cache_control.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace reprise {
namespace json = boost::json;
namespace {

constexpr auto kDefaultTtl = std::chrono::minutes(5);

}  // namespace

std::optional<Duration> ReadCacheControl(const json::object& block, std::string_view path,
                                         MarkerRules& rules) {
  const json::value* control = block.if_contains("cache_control");
  if (control == nullptr || control->is_null()) return std::nullopt;
  const std::string control_path =
      path.empty() ? "cache_control" : fmt::format("{}.cache_control", path);
  const json::object* object = control->if_object();
  if (object == nullptr) {
    rules.Breach(control_path, "Input should be an object");
    return std::nullopt;
  }
  const json::value* type = object->if_contains("type");
  if (type == nullptr || *type != "ephemeral") {
    rules.Breach(fmt::format("{}.type", control_path), "Input should be 'ephemeral'");
    return std::nullopt;
  }
  const json::value* ttl = object->if_contains("ttl");
  if (ttl == nullptr || ttl->is_null())
    return std::min<Duration>(kDefaultTtl, rules.policy().ttl_max);
  return rules.Ttl(*object, control_path, {"5m", "1h"});
}

void CacheControlMarks::Add(CacheMark place, Duration ttl, std::string path) {
  last_ttl_ = ttl;
  ++found_;
  if (marks_.size() == kMaxMarks) return;
  place.ttl = ttl;
  marks_.push_back(place);
  paths_.push_back(std::move(path));
}

void CacheControlMarks::AddBlock(const json::object& block, const std::string& path,
                                 CacheMark place) {
  last_block_ = place;
  last_ttl_.reset();
  if (const auto ttl = ReadCacheControl(block, path, rules_)) {
    Add(place, *ttl, path + ".cache_control");
  }
}

void CacheControlMarks::AddUnlessMarked(CacheMark place, Duration ttl, std::string path) {
  if (!last_ttl_) Add(place, ttl, std::move(path));
}

void CacheControlMarks::AddTopLevel(FieldReader& fields) {
  const json::value* control = fields.Find("cache_control");
  if (control == nullptr) return;
  const json::object carrier = {{"cache_control", *control}};
  const std::optional<Duration> ttl = ReadCacheControl(carrier, "", rules_);
  if (!ttl) return;
  if (!last_block_) {
    rules_.Breach("cache_control", "no block can carry it");
  } else if (!last_ttl_) {
    Add(*last_block_, *ttl, "cache_control");
  } else if (*last_ttl_ != *ttl) {
    rules_.Breach("cache_control", "the last block has a cache_control of another ttl");
  }
}

std::vector<CacheMark> CacheControlMarks::Take() {
  if (found_ > kMaxMarks) {
    rules_.Breach(
        "", fmt::format("A maximum of {} blocks with cache_control may be provided. Found {}.",
                        kMaxMarks, found_));
  }
  std::vector<CacheMark> taken;
  for (size_t i = 0; i < marks_.size(); ++i) {
    if (!taken.empty() && marks_[i].ttl > taken.back().ttl) {
      rules_.Breach(
          fmt::format("{}.ttl", paths_[i]),
          fmt::format("a ttl='{}' cache_control block must not come after a ttl='{}' "
                      "cache_control block. Note that blocks are processed in the following "
                      "order: `tools`, `system`, `messages`.",
                      TtlText(marks_[i].ttl), TtlText(taken.back().ttl)));
      continue;
    }
    taken.push_back(marks_[i]);
  }
  return taken;
}

}  // namespace reprise
