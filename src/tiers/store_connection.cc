#include "tiers/store_connection.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

namespace reprise {
namespace {

constexpr size_t kReadBytes = 256u << 10;

std::string SystemText(int number) { return std::generic_category().message(number); }

}  // namespace

Result<std::shared_ptr<ssl_ctx_st>> OpenTlsContext(const std::string& ca_file) {
  std::shared_ptr<ssl_ctx_st> tls(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  SSL_CTX_set_min_proto_version(tls.get(), TLS1_2_VERSION);
  SSL_CTX_set_verify(tls.get(), SSL_VERIFY_PEER, nullptr);
  const int loaded = ca_file.empty()
                         ? SSL_CTX_set_default_verify_paths(tls.get())
                         : SSL_CTX_load_verify_locations(tls.get(), ca_file.c_str(), nullptr);
  ERR_clear_error();
  if (loaded != 1) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("cannot read certificates from {}", ca_file));
  }
  return tls;
}

StoreConnection::StoreConnection(std::string label, size_t reply_bytes)
    : label_(std::move(label)),
      reply_bytes_(reply_bytes),
      reader_(redisReaderCreate()),
      in_(kReadBytes) {
  reader_->maxbuf = 0;  // its buffer is kept from reply to reply
}

StoreConnection::~StoreConnection() {
  if (ssl_ != nullptr) SSL_free(ssl_);
  if (socket_ >= 0) close(socket_);
}

Error StoreConnection::Broken(std::string_view what) const {
  return {ErrorCode::kIo, fmt::format("{} {}", label_, what), {}};
}

Result<std::unique_ptr<StoreConnection>> StoreConnection::Open(const StoreAddress& address,
                                                               ssl_ctx_st* tls, size_t reply_bytes,
                                                               StoreDeadline deadline) {
  std::unique_ptr<StoreConnection> connection(new StoreConnection(address.Label(), reply_bytes));
  Status done = connection->Connect(address, deadline);
  if (done && address.tls) done = connection->StartTls(address, tls, deadline);
  if (done) done = connection->Introduce(address, deadline);
  if (!done) return std::unexpected(done.error());
  return connection;
}

Status StoreConnection::Connect(const StoreAddress& address, StoreDeadline deadline) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int unknown = getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &found);
  if (unknown != 0)
    return std::unexpected(Broken(fmt::format("cannot be found: {}", gai_strerror(unknown))));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, freeaddrinfo);
  Error last = Broken("has no address");
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    if (socket_ >= 0) close(socket_);
    socket_ = socket(each->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket_ < 0) return std::unexpected(Broken("has no socket: " + SystemText(errno)));
    int failure = 0;
    if (connect(socket_, each->ai_addr, each->ai_addrlen) != 0) {
      failure = errno;
      if (failure == EINPROGRESS) {
        if (Status ready = Await(Direction::kWrite, deadline); !ready) return ready;
        socklen_t size = sizeof failure;
        getsockopt(socket_, SOL_SOCKET, SO_ERROR, &failure, &size);
      }
    }
    if (failure == 0) {
      const int on = 1;
      setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      return {};
    }
    last = Broken("cannot be reached: " + SystemText(failure));
  }
  return std::unexpected(last);
}

Status StoreConnection::StartTls(const StoreAddress& address, ssl_ctx_st* tls,
                                 StoreDeadline deadline) {
  ssl_ = SSL_new(tls);
  SSL_set_fd(ssl_, socket_);
  // The certificate must be the host's: by its name, or its address.
  X509_VERIFY_PARAM* verified = SSL_get0_param(ssl_);
  if (X509_VERIFY_PARAM_set1_ip_asc(verified, address.host.c_str()) != 1) {
    SSL_set_tlsext_host_name(ssl_, address.host.c_str());
    SSL_set1_host(ssl_, address.host.c_str());
  }
  for (;;) {
    ERR_clear_error();
    const int done = SSL_connect(ssl_);
    if (done == 1) return {};
    const int why = SSL_get_error(ssl_, done);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
      const long verdict = SSL_get_verify_result(ssl_);
      return std::unexpected(
          Broken(verdict == X509_V_OK
                     ? std::string("does not speak TLS")
                     : fmt::format("is not trusted: {}", X509_verify_cert_error_string(verdict))));
    }
    const Direction next = why == SSL_ERROR_WANT_READ ? Direction::kRead : Direction::kWrite;
    if (Status ready = Await(next, deadline); !ready) return ready;
  }
}

Status StoreConnection::Introduce(const StoreAddress& address, StoreDeadline deadline) {
  size_t asked = 0;
  if (!address.password.empty()) {
    if (address.user.empty()) {
      Add({"AUTH", address.password});
    } else {
      Add({"AUTH", address.user, address.password});
    }
    ++asked;
  }
  if (address.database > 0) {
    Add({"SELECT", std::to_string(address.database)});
    ++asked;
  }
  // Lifetimes are only ever made longer, which version 7 learnt.
  Add({"EXPIRE", "reprise:1:", "1", "GT"});
  ++asked;
  if (Status sent = Flush(deadline); !sent) return sent;
  for (; asked > 0; --asked) {
    Result<StoreReply> reply = Receive(deadline);
    if (!reply) return std::unexpected(reply.error());
    const std::string_view said = TextOf(**reply);
    // Replicas, and stores that cannot save, can be read.
    const bool takes_nothing = said.starts_with("READONLY") || said.starts_with("MISCONF");
    if ((*reply)->type == REDIS_REPLY_ERROR && !takes_nothing) {
      if (said.starts_with("ERR wrong number of arguments for 'expire'")) {
        return std::unexpected(Broken("is older than version 7"));
      }
      return std::unexpected(Broken(fmt::format("refuses: {}", said)));
    }
  }
  return {};
}

Status StoreConnection::Await(Direction direction, StoreDeadline deadline) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  pollfd wanted = {socket_, static_cast<short>(direction == Direction::kRead ? POLLIN : POLLOUT),
                   0};
  const int ready = poll(&wanted, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
  if (ready < 0 && errno != EINTR) return std::unexpected(Broken(SystemText(errno)));
  if (ready == 0) return std::unexpected(Broken("does not answer in time"));
  return {};
}

Result<size_t> StoreConnection::Move(Direction direction, char* data, size_t size,
                                     Direction& next) {
  next = direction;
  if (ssl_ != nullptr) {
    size_t moved = 0;
    ERR_clear_error();
    const int done = direction == Direction::kRead ? SSL_read_ex(ssl_, data, size, &moved)
                                                   : SSL_write_ex(ssl_, data, size, &moved);
    if (done == 1) return moved;
    const int why = SSL_get_error(ssl_, done);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
      closed_ = true;
      return std::unexpected(Broken("closed the connection"));
    }
    next = why == SSL_ERROR_WANT_READ ? Direction::kRead : Direction::kWrite;
    return 0;
  }
  const ssize_t moved = direction == Direction::kRead ? recv(socket_, data, size, 0)
                                                      : send(socket_, data, size, MSG_NOSIGNAL);
  if (moved > 0) return static_cast<size_t>(moved);
  if (moved < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  closed_ = true;
  return std::unexpected(
      Broken(moved == 0 ? "closed the connection" : "is gone: " + SystemText(errno)));
}

void StoreConnection::Add(std::initializer_list<std::string_view> words) {
  std::vector<const char*> data;
  std::vector<size_t> sizes;
  for (const std::string_view word : words) {
    data.push_back(word.data());
    sizes.push_back(word.size());
  }
  char* command = nullptr;
  const int size =
      redisFormatCommandArgv(&command, static_cast<int>(words.size()), data.data(), sizes.data());
  if (size > 0) out_.append(command, static_cast<size_t>(size));
  redisFreeCommand(command);
}

Status StoreConnection::Flush(StoreDeadline deadline) {
  size_t sent = 0;
  while (sent < out_.size()) {
    Direction next;
    const Result<size_t> moved =
        Move(Direction::kWrite, out_.data() + sent, out_.size() - sent, next);
    if (!moved) return std::unexpected(moved.error());
    sent += *moved;
    if (*moved > 0) continue;
    if (Status ready = Await(next, deadline); !ready) return ready;
  }
  out_.clear();
  return {};
}

Result<StoreReply> StoreConnection::Receive(StoreDeadline deadline) {
  for (;;) {
    void* reply = nullptr;
    if (redisReaderGetReply(reader_.get(), &reply) != REDIS_OK) {
      return std::unexpected(Broken("does not speak the protocol of Redis"));
    }
    if (reply != nullptr) {
      received_ = 0;
      return StoreReply(static_cast<redisReply*>(reply));
    }
    if (received_ > reply_bytes_ + kReadBytes) {
      return std::unexpected(Broken("sends more than was asked for"));
    }
    Direction next;
    const Result<size_t> moved = Move(Direction::kRead, in_.data(), in_.size(), next);
    if (!moved) return std::unexpected(moved.error());
    if (*moved == 0) {
      if (Status ready = Await(next, deadline); !ready) return std::unexpected(ready.error());
      continue;
    }
    received_ += *moved;
    redisReaderFeed(reader_.get(), in_.data(), *moved);
  }
}

}  // namespace reprise
