#include "kv_events/replay_history.h"

#include <utility>

#include "base/check.h"

namespace reprise {

ReplayedBatch ReplayHistory::Add(std::string payload) {
  bytes_ += payload.size();
  batches_.push_back({next_++, std::make_shared<const std::string>(std::move(payload))});
  Trim();
  return batches_.back();
}

void ReplayHistory::SetWhole(std::vector<std::string> parts) {
  CHECK(parts.size() <= next_, "a whole has numbers for all of its parts");
  whole_.clear();
  uint64_t number = next_ - parts.size();
  for (std::string& part : parts) {
    whole_.push_back({number++, std::make_shared<const std::string>(std::move(part))});
  }
  follows_ = next_;
  bytes_before_ = bytes_;
  Trim();
}

bool ReplayHistory::Older() const {
  return next_ - follows_ > most_batches_ / 2 || bytes_ - bytes_before_ > most_bytes_ / 2;
}

void ReplayHistory::Trim() {
  while (!batches_.empty() && batches_.front().number < follows_ &&
         (batches_.size() > most_batches_ || bytes_ > most_bytes_)) {
    bytes_ -= batches_.front().payload->size();
    bytes_before_ -= batches_.front().payload->size();
    batches_.pop_front();
  }
}

void ReplayHistory::ForEachFrom(uint64_t start,
                                const std::function<bool(const ReplayedBatch&)>& visit) const {
  const uint64_t first = batches_.empty() ? next_ : batches_.front().number;
  if (start < first) {
    for (const ReplayedBatch& part : whole_) {
      if (!visit(part)) return;
    }
    start = follows_;
  }
  for (size_t i = start < first ? 0 : start - first; i < batches_.size(); ++i) {
    if (!visit(batches_[i])) return;
  }
}

}  // namespace reprise
