#pragma once

// A blocking HTTP client of a test: sends bytes as they are, reads whole responses, does what no
// decent client does. Every wait ends after ten seconds with what there is.

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace reprise {

struct HttpReply {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // chunks put together
};

class TestClient {
 public:
  explicit TestClient(int port, int receive_buffer_bytes = 0);
  ~TestClient();
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  bool Send(std::string_view bytes);
  bool Post(std::string_view path, std::string_view body);
  bool Get(std::string_view path);
  HttpReply Read(bool head_only = false);  // status 0: closed before a whole response
  // Whether nothing arrives within `ms`.
  bool SilentFor(int ms);
  // Reads on until `text` has come.
  bool ReadUntil(std::string_view text);
  bool ReadToClose();
  void Close();

  std::string buffer;  // received, not yet taken

 private:
  bool Receive();
  bool Fill(size_t bytes);  // until buffer has as many
  std::optional<std::string> TakeLine();
  int socket_ = -1;
};

// The request line, headers and body of a POST, as bytes.
std::string PostBytes(std::string_view path, std::string_view body);

}  // namespace reprise
