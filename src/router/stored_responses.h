#pragma once

// Which replica has stored a response of OpenAI's Responses API, told by the header
// x-reprise-stored-response of its reply: what goes on from it (previous_response_id), fetches or
// deletes it goes there. The oldest are forgotten beyond limits::kMaxRoutedResponses. I/O thread
// only.

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace reprise {

inline constexpr std::string_view kStoredResponseField = "x-reprise-stored-response";

class StoredResponses {
 public:
  void Note(std::string id, size_t replica);
  // nullopt: it is not known where.
  std::optional<size_t> Find(const std::string& id) const;
  // The replica is gone, or begins anew: what it stored is lost.
  void Forget(size_t replica);

 private:
  std::unordered_map<std::string, size_t> replicas_;  // by id
  std::deque<std::string> order_;                     // oldest first; forgotten ones may be in it
};

}  // namespace reprise
