#include "kv_events/zmq_socket.h"

#include <fmt/format.h>
#include <zmq.h>

#include <array>
#include <cerrno>
#include <utility>

#include "base/check.h"
#include "base/fleet_limits.h"

namespace reprise {
namespace {

void SetOption(void* socket, int option, int value) {
  CHECK(zmq_setsockopt(socket, option, &value, sizeof(value)) == 0, "libzmq knows the option");
}

void FreeFrame(void* /*bytes*/, void* hint) {
  delete static_cast<std::shared_ptr<const std::string>*>(hint);
}

}  // namespace

ZmqContext::ZmqContext() : handle_(zmq_ctx_new()) {
  CHECK(handle_ != nullptr, "there is memory for a context");
}
ZmqContext::~ZmqContext() { zmq_ctx_term(handle_); }

ZmqSocket::ZmqSocket(const ZmqContext& context, Kind kind)
    : handle_(zmq_socket(context.handle(), kind == Kind::kPublisher ? ZMQ_PUB : ZMQ_ROUTER)) {
  CHECK(handle_ != nullptr, "a process has few sockets of ZeroMQ");
  SetOption(handle_, ZMQ_LINGER, limits::kPublisherLingerMs);
  SetOption(handle_, ZMQ_SNDHWM, limits::kMaxUnsentBatches);
  const int64_t most = limits::kMaxReaderMessageBytes;
  CHECK(zmq_setsockopt(handle_, ZMQ_MAXMSGSIZE, &most, sizeof(most)) == 0,
        "libzmq knows the option");
  // Says whether an answer was taken, in place of dropping it.
  if (kind == Kind::kRouter) SetOption(handle_, ZMQ_ROUTER_MANDATORY, 1);
}
ZmqSocket::~ZmqSocket() { zmq_close(handle_); }

Result<std::string> ZmqSocket::Listen(const std::string& address) {
  const auto meant = [&] {
    return Fail(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: tcp://HOST:PORT is meant, where HOST is an address of this machine "
                    "in figures, or * for all",
                    address));
  };
  if (!address.starts_with("tcp://")) return meant();
  if (address.contains('[')) SetOption(handle_, ZMQ_IPV6, 1);
  if (zmq_bind(handle_, address.c_str()) != 0) {
    const int fault = errno;
    if (fault == EINVAL || fault == ENODEV) return meant();
    return Fail(ErrorCode::kIo,
                fmt::format("cannot listen at {}: {}", address, zmq_strerror(fault)));
  }
  std::array<char, 256> bound{};
  size_t size = bound.size();
  CHECK(zmq_getsockopt(handle_, ZMQ_LAST_ENDPOINT, bound.data(), &size) == 0,
        "a socket that listens knows where");
  return std::string(bound.data());
}

bool ZmqSocket::Send(std::string_view frame, More more) {
  const int flags = ZMQ_DONTWAIT | (more == More::kYes ? ZMQ_SNDMORE : 0);
  return zmq_send(handle_, frame.data(), frame.size(), flags) >= 0;
}

bool ZmqSocket::Send(const std::shared_ptr<const std::string>& frame, More more) {
  zmq_msg_t message;
  auto* const hint = new std::shared_ptr<const std::string>(frame);
  // libzmq never writes to what it sends.
  if (zmq_msg_init_data(&message, const_cast<char*>(frame->data()), frame->size(), FreeFrame,
                        hint) != 0) {
    delete hint;
    return false;
  }
  const int flags = ZMQ_DONTWAIT | (more == More::kYes ? ZMQ_SNDMORE : 0);
  if (zmq_msg_send(&message, handle_, flags) >= 0) return true;
  zmq_msg_close(&message);
  return false;
}

std::vector<std::string> ZmqSocket::Receive() {
  std::vector<std::string> frames;
  for (bool more = true; more;) {
    zmq_msg_t message;
    zmq_msg_init(&message);
    if (zmq_msg_recv(&message, handle_, ZMQ_DONTWAIT) < 0) {
      zmq_msg_close(&message);
      return {};
    }
    frames.emplace_back(static_cast<const char*>(zmq_msg_data(&message)), zmq_msg_size(&message));
    more = zmq_msg_more(&message) != 0;
    zmq_msg_close(&message);
  }
  return frames;
}

void AwaitAny(const std::vector<const ZmqSocket*>& sockets, int descriptor) {
  std::vector<zmq_pollitem_t> items;
  items.reserve(sockets.size() + 1);
  items.push_back({.socket = nullptr, .fd = descriptor, .events = ZMQ_POLLIN, .revents = 0});
  for (const ZmqSocket* socket : sockets) {
    items.push_back({.socket = socket->handle(), .fd = 0, .events = ZMQ_POLLIN, .revents = 0});
  }
  zmq_poll(items.data(), static_cast<int>(items.size()), -1);
}

}  // namespace reprise
