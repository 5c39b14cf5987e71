#pragma once

// How a reply is read: by a coroutine written as if all of it were there, which sleeps where it is
// not. ReplyInput is what has come; Parse is such a coroutine, which may call others. Internal to
// this folder; one reply's are used by one thread at a time.

#include <coroutine>
#include <cstddef>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace reprise {

class ReplyInput {
 public:
  static constexpr int kEnd = -1;

  // Gives the coroutine that waits more to read.
  void Push(std::string_view text) {
    text_ += text;
    Wake();
  }
  // Nothing more comes.
  void Close() {
    closed_ = true;
    Wake();
  }

  // co_await input.Peek(): the next byte, not taken, or kEnd.
  auto Peek() { return Awaiter{*this}; }
  // REQUIRES: Peek or Sees found the bytes.
  void Skip(size_t bytes = 1) { at_ += bytes; }

  // Forgets what was read; what is read from here on is `taken()`.
  void Settle() {
    if (at_ < kSettledBytes && at_ < text_.size()) {
      settled_ = at_;
      return;
    }
    text_.erase(0, at_);
    at_ = settled_ = 0;
  }
  std::string_view taken() const {
    return std::string_view(text_).substr(settled_, at_ - settled_);
  }

  // What is there, from the next byte on, and whether more may come.
  std::string_view rest() const { return std::string_view(text_).substr(at_); }
  bool closed() const { return closed_; }
  // co_await input.More(): until more has come than there was, or the end.
  auto More() { return MoreAwaiter{*this, text_.size()}; }

 private:
  static constexpr size_t kSettledBytes = 4096;

  struct Awaiter {
    ReplyInput& input;
    bool await_ready() const { return input.at_ < input.text_.size() || input.closed_; }
    void await_suspend(std::coroutine_handle<> handle) const { input.waiting_ = handle; }
    int await_resume() const {
      return input.at_ < input.text_.size() ? static_cast<unsigned char>(input.text_[input.at_])
                                            : kEnd;
    }
  };
  struct MoreAwaiter {
    ReplyInput& input;
    size_t had;
    bool await_ready() const { return input.text_.size() > had || input.closed_; }
    void await_suspend(std::coroutine_handle<> handle) const { input.waiting_ = handle; }
    void await_resume() const {}
  };

  void Wake() {
    if (waiting_ && (at_ < text_.size() || closed_)) std::exchange(waiting_, nullptr).resume();
  }

  std::string text_;
  size_t at_ = 0;
  size_t settled_ = 0;
  bool closed_ = false;
  std::coroutine_handle<> waiting_;
};

// A coroutine that reads, and says whether it found what it is there for. Runs when it is awaited
// by another or started by Start().
class Parse {
 public:
  struct promise_type {
    bool found = false;
    std::coroutine_handle<> caller = std::noop_coroutine();

    Parse get_return_object() {
      return Parse(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct Return {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> handle) noexcept {
        return handle.promise().caller;
      }
      void await_resume() noexcept {}
    };
    Return final_suspend() noexcept { return {}; }
    void return_value(bool value) { found = value; }
    void unhandled_exception() { std::terminate(); }
  };

  Parse(Parse&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Parse(const Parse&) = delete;
  Parse& operator=(const Parse&) = delete;
  ~Parse() {
    if (handle_) handle_.destroy();
  }

  void Start() { handle_.resume(); }

  bool await_ready() const { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) {
    handle_.promise().caller = caller;
    return handle_;
  }
  bool await_resume() const { return handle_.promise().found; }

 private:
  explicit Parse(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

}  // namespace reprise
