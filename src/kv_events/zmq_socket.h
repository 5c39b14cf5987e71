#pragma once

// ZeroMQ (libzmq 4.3, zmq.h), as much as publishing takes: a context, sockets that listen, and
// messages in several frames that share their bytes. Nothing blocks but the context's end, for as
// long as limits::kPublisherLingerMs. A socket has one thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace reprise {

class ZmqContext {
 public:
  ZmqContext();
  ~ZmqContext();  // after its sockets
  ZmqContext(const ZmqContext&) = delete;
  ZmqContext& operator=(const ZmqContext&) = delete;

  void* handle() const { return handle_; }

 private:
  void* const handle_;
};

class ZmqSocket {
 public:
  enum class Kind : uint8_t { kPublisher, kRouter };

  ZmqSocket(const ZmqContext& context, Kind kind);
  ~ZmqSocket();
  ZmqSocket(const ZmqSocket&) = delete;
  ZmqSocket& operator=(const ZmqSocket&) = delete;

  // At tcp://HOST:PORT; HOST is a number, an interface's name or * for all, PORT 0 or * for any
  // free one. Returns the same with what was chosen.
  Result<std::string> Listen(const std::string& address);

  // A frame more of the message, or its last. False: there is no room, or nobody to send to.
  enum class More : uint8_t { kNo, kYes };
  bool Send(std::string_view frame, More more);
  bool Send(const std::shared_ptr<const std::string>& frame, More more);

  // The frames of a message that has come; none: none has.
  std::vector<std::string> Receive();

  void* handle() const { return handle_; }

 private:
  void* const handle_;
};

// Waits until a message has come to one of the sockets, or the file descriptor can be read.
void AwaitAny(const std::vector<const ZmqSocket*>& sockets, int descriptor);

}  // namespace reprise
