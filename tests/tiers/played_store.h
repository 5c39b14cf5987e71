#pragma once

// A store that speaks the protocol of Redis on loopback, and misbehaves as a test says.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <hiredis/hiredis.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tiers/store_url.h"

namespace reprise {

class PlayedStore {
 public:
  enum class Mood {
    kHonest,
    kSilent,    // takes what comes and says nothing
    kGarbage,   // says what is no reply
    kFlood,     // begins a reply that is longer than any record
    kHangsUp,   // closes instead of a reply
    kLoading,   // has no time yet
    kFull,      // takes no value
    kOld,       // knows no EXPIRE … GT
    kStubborn,  // takes nothing for another reason
  };
  std::atomic<Mood> mood{Mood::kHonest};
  std::atomic<int> commands{0};
  std::atomic<bool> closes_all{false};  // once: as stores do with idle connections

  struct Value {
    std::string text;
    int64_t seconds = 0;  // to live, as they were last set
  };
  std::mutex mutex;
  std::map<std::string, Value, std::less<>> values;  // GUARDED_BY(mutex)

  PlayedStore() {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in place{};
    place.sin_family = AF_INET;
    place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof place;
    const bool listens = bind(listener_, reinterpret_cast<sockaddr*>(&place), size) == 0 &&
                         listen(listener_, 8) == 0;
    EXPECT_TRUE(listens);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&place), &size);
    address_.host = "127.0.0.1";
    address_.port = std::to_string(ntohs(place.sin_port));
    thread_ = std::thread([this] { Serve(); });
  }

  ~PlayedStore() {
    stopping_ = true;
    thread_.join();
    close(listener_);
  }

  const StoreAddress& address() const { return address_; }

  size_t size() {
    const std::lock_guard lock(mutex);
    return values.size();
  }

 private:
  struct Client {
    int socket = -1;
    std::unique_ptr<redisReader, void (*)(redisReader*)> reader{redisReaderCreate(),
                                                                redisReaderFree};
  };

  void Serve() {
    std::vector<Client> clients;
    while (!stopping_) {
      std::vector<pollfd> wanted = {{listener_, POLLIN, 0}};
      for (const Client& client : clients) wanted.push_back({client.socket, POLLIN, 0});
      poll(wanted.data(), wanted.size(), 20);
      if (closes_all) {
        for (const Client& client : clients) close(client.socket);
        clients.clear();
        closes_all = false;
        continue;
      }
      for (size_t i = wanted.size() - 1; i > 0; --i) {
        if ((wanted[i].revents & (POLLIN | POLLHUP)) == 0 || Talk(clients[i - 1])) continue;
        close(clients[i - 1].socket);
        clients.erase(clients.begin() + static_cast<std::ptrdiff_t>(i) - 1);
      }
      if ((wanted[0].revents & POLLIN) != 0) {
        clients.emplace_back();
        clients.back().socket = accept(listener_, nullptr, nullptr);
        // As stores do. Without it, all replies but the first wait for the other side to
        // acknowledge that one, which takes 40 ms: nearly all of what a request waits for a store.
        const int on = 1;
        setsockopt(clients.back().socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      }
    }
    for (const Client& client : clients) close(client.socket);
  }

  // False: it is over.
  bool Talk(Client& client) {
    std::array<char, 65536> bytes;
    const ssize_t got = recv(client.socket, bytes.data(), bytes.size(), 0);
    if (got <= 0) return false;
    redisReaderFeed(client.reader.get(), bytes.data(), static_cast<size_t>(got));
    for (;;) {
      void* found = nullptr;
      if (redisReaderGetReply(client.reader.get(), &found) != REDIS_OK) return false;
      if (found == nullptr) return true;
      auto* command = static_cast<redisReply*>(found);
      std::vector<std::string_view> words;
      for (size_t i = 0; i < command->elements; ++i) {
        words.emplace_back(command->element[i]->str, command->element[i]->len);
      }
      ++commands;
      const std::string reply = Reply(words);
      freeReplyObject(command);
      if (mood == Mood::kHangsUp) return false;
      if (!reply.empty() && send(client.socket, reply.data(), reply.size(), MSG_NOSIGNAL) < 0) {
        return false;
      }
    }
  }

  std::string Reply(const std::vector<std::string_view>& words) {
    switch (mood) {
      case Mood::kSilent:
      case Mood::kHangsUp:
        return {};
      case Mood::kGarbage:
        return "HTTP/1.1 400 Bad Request\r\n\r\n";
      case Mood::kFlood:
        return "$400000000\r\n" + std::string(4u << 20, 'x');
      case Mood::kLoading:
        return "-LOADING the dataset is being loaded\r\n";
      default:
        break;
    }
    const std::lock_guard lock(mutex);
    const std::string_view verb = words.at(0);
    if (verb == "PING" || verb == "SELECT" || verb == "AUTH") return "+OK\r\n";
    if (verb == "SCAN") {
      std::string names;
      size_t count = 0;
      const std::string_view prefix = words.at(3).substr(0, words.at(3).size() - 1);
      for (const auto& [name, value] : values) {
        if (!name.starts_with(prefix)) continue;
        names += Bulk(name);
        ++count;
      }
      return "*2\r\n$1\r\n0\r\n*" + std::to_string(count) + "\r\n" + names;
    }
    const auto value = values.find(words.at(1));
    if (verb == "EXISTS") return value == values.end() ? ":0\r\n" : ":1\r\n";
    if (verb == "GET") return value == values.end() ? "$-1\r\n" : Bulk(value->second.text);
    if (verb == "UNLINK") {
      if (value != values.end()) values.erase(value);
      return ":1\r\n";
    }
    if (verb == "EXPIRE") {
      if (mood == Mood::kOld) return "-ERR wrong number of arguments for 'expire' command\r\n";
      if (mood == Mood::kStubborn) return "-MISCONF not now\r\n";
      EXPECT_EQ(words.at(3), "GT");
      const int64_t seconds = std::stoll(std::string(words.at(2)));
      if (value == values.end() || seconds <= value->second.seconds) return ":0\r\n";
      value->second.seconds = seconds;
      return ":1\r\n";
    }
    if (verb == "SET") {
      if (mood == Mood::kStubborn) return "-MISCONF not now\r\n";
      if (mood == Mood::kFull) return "-OOM command not allowed when used memory > 'maxmemory'\r\n";
      EXPECT_EQ(words.at(3), "EX");
      values[std::string(words.at(1))] = {std::string(words.at(2)),
                                          std::stoll(std::string(words.at(4)))};
      return "+OK\r\n";
    }
    ADD_FAILURE() << "an unknown command: " << verb;
    return "-ERR unknown command\r\n";
  }

  static std::string Bulk(const std::string& text) {
    return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
  }

  int listener_ = -1;
  StoreAddress address_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;  // last: it uses the rest
};

}  // namespace reprise
