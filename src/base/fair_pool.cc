#include "base/fair_pool.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/trace.h"

namespace reprise {

FairPool::FairPool(std::string name, size_t threads, size_t per_user)
    : name_(std::move(name)), per_user_(per_user) {
  CHECK(1 <= per_user && per_user <= threads, "a user of a FairPool has some of its threads");
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

FairPool::~FairPool() { Stop(); }

void FairPool::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  threads_.clear();
  users_.clear();
}

void FairPool::Post(const std::string& user, std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    users_[user].waiting.push_back(std::move(work));
  }
  changed_.notify_one();
}

FairPool::Users::iterator FairPool::NextUser() {
  const auto may_start = [this](const auto& entry) {
    return !entry.second.waiting.empty() && entry.second.running < per_user_;
  };
  const auto after = users_.upper_bound(last_user_);
  const auto found = std::find_if(after, users_.end(), may_start);
  if (found != users_.end()) return found;
  const auto before = std::find_if(users_.begin(), after, may_start);
  return before == after ? users_.end() : before;
}

void FairPool::Run() {
  NameTraceThread(name_);
  std::unique_lock lock(mutex_);
  for (;;) {
    auto next = users_.end();
    changed_.wait(lock, [&] { return stopping_ || (next = NextUser()) != users_.end(); });
    if (stopping_) return;
    User& user = next->second;
    last_user_ = next->first;
    std::function<void()> work = std::move(user.waiting.front());
    user.waiting.pop_front();
    ++user.running;
    lock.unlock();
    work();
    work = nullptr;  // what it holds goes before its turn ends
    lock.lock();
    if (--user.running == 0 && user.waiting.empty()) users_.erase(next);
    changed_.notify_one();  // the user may have been at its share
  }
}

}  // namespace reprise
