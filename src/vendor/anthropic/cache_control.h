#pragma once

// Anthropic's cache_control: the marks of one request, collected in the order in which its blocks
// are read, within the vendor's rules. Used while one call is read; not thread-safe.

#include <boost/json.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "prompt/conversation.h"
#include "vendor/json_reader.h"
#include "vendor/marker_rules.h"

namespace reprise {

// The lifetime that block.cache_control asks for; nullopt when there is none or it is ignored.
// `path` names the block, empty the request itself.
std::optional<Duration> ReadCacheControl(const boost::json::object& block, std::string_view path,
                                         MarkerRules& rules);

class CacheControlMarks {
 public:
  explicit CacheControlMarks(MarkerRules& rules) : rules_(rules) {}

  // A block that can carry a mark ends at `place`: marks it, if the block asks for that.
  void AddBlock(const boost::json::object& block, const std::string& path, CacheMark place);
  // A mark at the place of the last block, unless that has one already.
  void AddUnlessMarked(CacheMark place, Duration ttl, std::string path);
  // The request's own cache_control is one of its last block. REQUIRES: all blocks were added.
  void AddTopLevel(FieldReader& fields);

  // Those that the vendor would take: four at most, none with a longer lifetime than one before it.
  std::vector<CacheMark> Take();

 private:
  void Add(CacheMark place, Duration ttl, std::string path);

  MarkerRules& rules_;
  std::vector<CacheMark> marks_;    // the first few
  std::vector<std::string> paths_;  // of the cache_control of each
  size_t found_ = 0;
  std::optional<CacheMark> last_block_;  // the last that can carry a mark
  std::optional<Duration> last_ttl_;     // … and its mark's lifetime, if it has one
};

}  // namespace reprise
