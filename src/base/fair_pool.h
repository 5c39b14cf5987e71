#pragma once

// Threads for work that comes from many users, who take turns: the next to run is the longest
// waiting of the user whose turn it is, and no user has more than a share of the threads. What one
// user hands over is started in its order. Any thread.

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace reprise {

class FairPool {
 public:
  // `name`: of its threads, in a trace. REQUIRES: 1 <= per_user <= threads.
  FairPool(std::string name, size_t threads, size_t per_user);
  ~FairPool();  // stops
  FairPool(const FairPool&) = delete;
  FairPool& operator=(const FairPool&) = delete;

  // `work` does not throw. After Stop it is dropped.
  void Post(const std::string& user, std::function<void()> work);

  // Waits for what runs; what waits is dropped. Idempotent; one thread at a time.
  void Stop();

 private:
  struct User {
    std::deque<std::function<void()>> waiting;  // not empty, or something is running
    size_t running = 0;
  };
  using Users = std::map<std::string, User>;

  void Run();
  Users::iterator NextUser();  // end(): nothing may start now

  const std::string name_;
  const size_t per_user_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Users users_;                        // GUARDED_BY(mutex_)
  std::string last_user_;              // GUARDED_BY(mutex_): whose turn was last
  bool stopping_ = false;              // GUARDED_BY(mutex_)
  std::vector<std::jthread> threads_;  // last: they use the rest
};

}  // namespace reprise
