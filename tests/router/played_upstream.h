#pragma once

// A server that says what a test tells it, byte for byte, for routers to be before. Each connection
// has a thread of its own; requests are read one after the other and handed to the test's answer,
// but GET /health, which it answers by itself.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"

namespace reprise {

struct PlayedRequest {
  std::string head;  // request line and fields, in lower case from the second line on
  std::string body;
};

// What an answer writes to.
class PlayedConnection {
 public:
  explicit PlayedConnection(int socket) : socket_(socket) {}
  void Send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }
  void Chunk(std::string_view data) const {
    char size[32];
    snprintf(size, sizeof size, "%zx\r\n", data.size());
    Send(size);
    Send(data);
    Send("\r\n");
  }
  // Whether the other side closes within `ms`.
  bool SeesEnd(int ms) const {
    pollfd poll_for{socket_, POLLIN, 0};
    char byte = 0;
    return poll(&poll_for, 1, ms) == 1 && recv(socket_, &byte, 1, MSG_PEEK) <= 0;
  }
  // As a process that is killed: with a reset where `reset`.
  void Close(bool reset = false) {
    if (reset) {
      const linger at_once{1, 0};
      setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      shutdown(socket_, SHUT_RD);
    }
    closed_ = true;
  }
  bool closed() const { return closed_; }

 private:
  const int socket_;
  bool closed_ = false;
};

class PlayedUpstream {
 public:
  using Answer = std::function<void(const PlayedRequest&, PlayedConnection&)>;

  explicit PlayedUpstream(Answer answer, int port = 0) : answer_(std::move(answer)) {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    const int yes = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const plain = reinterpret_cast<sockaddr*>(&address);
    CHECK(bind(listener_, plain, sizeof address) == 0 && listen(listener_, 64) == 0,
          "a played server has a port");
    socklen_t size = sizeof address;
    getsockname(listener_, plain, &size);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::jthread([this](const std::stop_token& stop) { Accept(stop); });
  }
  ~PlayedUpstream() {
    acceptor_.request_stop();
    acceptor_.join();
    close(listener_);
    stopping_ = true;
    conversations_.clear();
  }
  PlayedUpstream(const PlayedUpstream&) = delete;
  PlayedUpstream& operator=(const PlayedUpstream&) = delete;

  int port() const { return port_; }
  std::string name() const { return "127.0.0.1:" + std::to_string(port_); }
  std::vector<PlayedRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  std::atomic<int> health = 200;
  std::atomic<int> connections = 0;  // taken so far

 private:
  void Accept(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      pollfd poll_for{listener_, POLLIN, 0};
      if (poll(&poll_for, 1, 20) != 1) continue;
      const int socket = accept(listener_, nullptr, nullptr);
      if (socket < 0) continue;
      ++connections;
      conversations_.emplace_back([this, socket] { Converse(socket); });
    }
  }

  void Converse(int socket) {
    PlayedConnection connection(socket);
    std::string inbox;
    PlayedRequest request;
    while (!connection.closed() && Read(socket, inbox, request)) {
      if (request.head.starts_with("GET /health ")) {
        connection.Send("HTTP/1.1 " + std::to_string(health) +
                        " Health\r\nContent-Length: 2\r\n\r\n{}");
        continue;
      }
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      answer_(request, connection);
    }
    close(socket);
  }

  bool Read(int socket, std::string& inbox, PlayedRequest& request) {
    size_t end = 0;
    while ((end = inbox.find("\r\n\r\n")) == std::string::npos) {
      if (!Receive(socket, inbox)) return false;
    }
    request.head = inbox.substr(0, end + 2);
    inbox.erase(0, end + 4);
    for (size_t i = request.head.find('\n'); i < request.head.size(); ++i) {
      request.head[i] = static_cast<char>(tolower(request.head[i]));
    }
    const size_t field = request.head.find("content-length: ");
    const size_t length =
        field == std::string::npos ? 0 : std::stoul(request.head.substr(field + 16));
    while (inbox.size() < length) {
      if (!Receive(socket, inbox)) return false;
    }
    request.body = inbox.substr(0, length);
    inbox.erase(0, length);
    return true;
  }

  bool Receive(int socket, std::string& inbox) {
    char bytes[4096];
    pollfd poll_for{socket, POLLIN, 0};
    while (poll(&poll_for, 1, 20) != 1) {
      if (stopping_) return false;
    }
    const ssize_t count = recv(socket, bytes, sizeof bytes, 0);
    if (count <= 0) return false;
    inbox.append(bytes, static_cast<size_t>(count));
    return true;
  }

  const Answer answer_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex mutex_;
  std::vector<PlayedRequest> requests_;  // GUARDED_BY(mutex_)
  std::vector<std::jthread> conversations_;
  std::jthread acceptor_;
};

// A whole answer.
inline std::string PlayedAnswer(std::string_view status, std::string_view body) {
  return "HTTP/1.1 " + std::string(status) +
         "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + std::string(body);
}

inline constexpr std::string_view kPlayedStream =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    "Transfer-Encoding: chunked\r\n\r\n";

}  // namespace reprise
