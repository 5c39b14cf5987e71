#pragma once

// What the model wrote when it called tools, by the calls' ids: so that a conversation that comes
// back with these calls is rendered as it was written, whatever the client's own JSON made of them
// (keys in another order, other spaces, 5.0 for 5). A call that means something else now is taken
// as it comes. For each tenant apart; the oldest of whoever holds most are forgotten. Thread-safe.

#include <boost/json.hpp>
#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace reprise {

struct WrittenReply {
  struct Call {
    std::string id;
    std::string name;
    boost::json::object arguments;  // keys and numbers as written
  };
  std::vector<Call> calls;
  std::string text;      // beside the calls, as the client was given it
  std::string thinking;  // the same
  // All but the thinking, as content for a template: texts are escaped, the family's marks are not.
  std::string written;
};

class ReplyMemory {
 public:
  explicit ReplyMemory(size_t max_bytes) : max_bytes_(max_bytes) {}

  void Remember(const std::string& tenant, WrittenReply reply);
  // By the id of any of its calls; null: unknown.
  std::shared_ptr<const WrittenReply> Find(const std::string& tenant, std::string_view id) const;
  // All, each with its tenant; of one tenant the oldest first.
  std::vector<std::pair<std::string, std::shared_ptr<const WrittenReply>>> All() const;

 private:
  struct Entry {
    std::shared_ptr<const WrittenReply> reply;
    size_t bytes = 0;
  };
  struct Tenant {
    std::deque<Entry> entries;  // oldest first
    std::unordered_map<std::string, std::shared_ptr<const WrittenReply>> by_id;
    size_t bytes = 0;
  };
  void ForgetOldest(Tenant& tenant);

  const size_t max_bytes_;
  mutable std::mutex mutex_;
  std::map<std::string, Tenant> tenants_;  // guarded by mutex_
  size_t bytes_ = 0;                       // guarded by mutex_
};

// Whether two values mean the same: the order of keys and the writing of numbers are no difference.
bool MeansTheSame(const boost::json::value& a, const boost::json::value& b);

// Gives the assistant's messages that hold remembered calls what the model wrote: the arguments
// where a call means the same, and thinking, where the client left it out. Returned are those
// messages all of which means the same.
struct RestoredReply {
  size_t message = 0;  // its index
  std::shared_ptr<const WrittenReply> reply;
};
std::vector<RestoredReply> RestoreReplies(const ReplyMemory& memory, const std::string& tenant,
                                          boost::json::array& messages);

}  // namespace reprise
