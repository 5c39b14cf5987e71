#pragma once

// Giving up long work in the middle, when nobody waits for it any more. Who runs work on a thread
// opens an InterruptibleScope with the token by which it may be stopped; what takes long asks every
// few milliseconds. Interrupted is no Error: it passes through everything up to the scope's owner.

#include <exception>
#include <stop_token>
#include <utility>

namespace reprise {

struct Interrupted : std::exception {
  const char* what() const noexcept override { return "interrupted"; }
};

namespace interruption {
inline thread_local const std::stop_token* current = nullptr;
}

class InterruptibleScope {
 public:
  explicit InterruptibleScope(const std::stop_token& token)
      : outer_(std::exchange(interruption::current, &token)) {}
  ~InterruptibleScope() { interruption::current = outer_; }
  InterruptibleScope(const InterruptibleScope&) = delete;
  InterruptibleScope& operator=(const InterruptibleScope&) = delete;

 private:
  const std::stop_token* outer_;
};

// Whether this thread's work is to stop; never outside a scope.
inline bool IsInterrupted() {
  return interruption::current != nullptr && interruption::current->stop_requested();
}

}  // namespace reprise
