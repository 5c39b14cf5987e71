#include "test_client.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>

#include "base/check.h"

namespace reprise {
namespace {

constexpr int kWaitMs = 10'000;

}  // namespace

std::string PostBytes(std::string_view path, std::string_view body) {
  return fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}", path,
                     body.size(), body);
}

TestClient::TestClient(int port, int receive_buffer_bytes) {
  socket_ = socket(AF_INET, SOCK_STREAM, 0);
  if (receive_buffer_bytes > 0) {
    setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int failed = connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  CHECK(failed == 0, "the server under test takes connections");
}

TestClient::~TestClient() { Close(); }

void TestClient::Close() {
  if (socket_ >= 0) close(socket_);
  socket_ = -1;
}

bool TestClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

bool TestClient::Post(std::string_view path, std::string_view body) {
  return Send(PostBytes(path, body));
}

bool TestClient::Get(std::string_view path) {
  return Send(fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", path));
}

bool TestClient::Receive() {
  pollfd ready{socket_, POLLIN, 0};
  if (poll(&ready, 1, kWaitMs) <= 0) return false;
  char bytes[65536];
  const ssize_t count = recv(socket_, bytes, sizeof bytes, 0);
  if (count <= 0) return false;
  buffer.append(bytes, static_cast<size_t>(count));
  return true;
}

bool TestClient::SilentFor(int ms) {
  pollfd ready{socket_, POLLIN, 0};
  return buffer.empty() && poll(&ready, 1, ms) == 0;
}

bool TestClient::ReadUntil(std::string_view text) {
  while (buffer.find(text) == std::string::npos) {
    if (!Receive()) return false;
  }
  return true;
}

bool TestClient::ReadToClose() {
  for (;;) {
    pollfd ready{socket_, POLLIN, 0};
    if (poll(&ready, 1, kWaitMs) <= 0) return false;
    if (!Receive()) return true;
  }
}

bool TestClient::Fill(size_t bytes) {
  while (buffer.size() < bytes) {
    if (!Receive()) return false;
  }
  return true;
}

std::optional<std::string> TestClient::TakeLine() {
  if (!ReadUntil("\r\n")) return std::nullopt;
  const size_t end = buffer.find("\r\n");
  std::string line = buffer.substr(0, end);
  buffer.erase(0, end + 2);
  return line;
}

HttpReply TestClient::Read(bool head_only) {
  HttpReply reply;
  const auto status = TakeLine();
  if (!status || status->size() < 12) return {};
  for (auto line = TakeLine(); line && !line->empty(); line = TakeLine()) {
    const size_t colon = line->find(": ");
    std::string name = line->substr(0, colon);
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
    reply.headers[name] = colon == std::string::npos ? "" : line->substr(colon + 2);
  }
  const auto chunked = reply.headers.find("transfer-encoding");
  if (!head_only && chunked != reply.headers.end()) {
    for (;;) {
      const auto size_line = TakeLine();
      if (!size_line) return {};
      const size_t size = std::stoul(*size_line, nullptr, 16);
      if (!Fill(size + 2)) return {};
      reply.body += buffer.substr(0, size);
      buffer.erase(0, size + 2);
      if (size == 0) break;
    }
  } else if (!head_only && reply.headers.contains("content-length")) {
    const size_t size = std::stoul(reply.headers["content-length"]);
    if (!Fill(size)) return {};
    reply.body = buffer.substr(0, size);
    buffer.erase(0, size);
  }
  reply.status = std::stoi(status->substr(9, 3));
  return reply;
}

}  // namespace reprise
