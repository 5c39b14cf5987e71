#pragma once

// A replica's response taken apart as it comes: status, fields, and the body's bytes as soon as
// they are there. HTTP/1.1 (RFC 9112) by Beast's parser; the header is at most
// limits::kMaxHeaderBytes, the body is not bounded since it is passed on piece by piece. No
// sockets; one thread.

#include <boost/beast/http/basic_parser.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace reprise {

struct ReplyHead {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> fields;  // in order, as they came
  std::optional<uint64_t> length;                           // of the body, where it is told
  bool keep_alive = false;

  // Of the first field with that name, in any case; empty: none.
  std::string_view Field(std::string_view name) const;
};

class ReplyParser final : public boost::beast::http::basic_parser<false> {
 public:
  // `head_only`: it answers HEAD, so there is no body whatever the fields say.
  explicit ReplyParser(bool head_only);

  // Takes in what it can; returns how many bytes that was. What it left is to be shown again with
  // more behind it. False in `ok`: this is no response.
  size_t Put(std::string_view bytes, bool& ok);
  // The connection has ended. False: in the middle of the response.
  bool PutEnd();

  bool has_head() const { return is_header_done(); }
  const ReplyHead& head() const { return head_; }
  // The body's bytes since the last call.
  std::string TakeBody() { return std::exchange(body_, {}); }
  size_t body_bytes() const { return body_.size(); }

 private:
  using error_code = boost::beast::error_code;
  using string_view = boost::beast::string_view;
  void on_request_impl(boost::beast::http::verb, string_view, string_view, int,
                       error_code&) override {}
  void on_response_impl(int code, string_view reason, int version, error_code& error) override;
  void on_field_impl(boost::beast::http::field name, string_view text, string_view value,
                     error_code& error) override;
  void on_header_impl(error_code& error) override;
  void on_body_init_impl(const boost::optional<uint64_t>& length, error_code& error) override;
  size_t on_body_impl(string_view bytes, error_code& error) override;
  void on_chunk_header_impl(uint64_t size, string_view extensions, error_code& error) override;
  size_t on_chunk_body_impl(uint64_t left, string_view bytes, error_code& error) override;
  void on_finish_impl(error_code& error) override;

  const bool head_only_;
  ReplyHead head_;
  std::string body_;
};

}  // namespace reprise
