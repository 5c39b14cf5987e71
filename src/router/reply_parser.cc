#include "router/reply_parser.h"

#include <boost/asio/buffer.hpp>
#include <charconv>
#include <limits>

#include "base/ascii.h"
#include "base/limits.h"

namespace reprise {
namespace http = boost::beast::http;

std::string_view ReplyHead::Field(std::string_view name) const {
  for (const auto& [each, value] : fields) {
    if (EqualsIgnoringCase(each, name)) return value;
  }
  return {};
}

ReplyParser::ReplyParser(bool head_only) : head_only_(head_only) {
  header_limit(limits::kMaxHeaderBytes);
  body_limit(std::numeric_limits<uint64_t>::max());
  eager(true);
  skip(head_only);
}

size_t ReplyParser::Put(std::string_view bytes, bool& ok) {
  // Every chunked body ends with as many, and Beast asserts that it is shown no fewer at its end.
  constexpr size_t kLastChunkBytes = 5;
  ok = true;
  if (bytes.empty() || (is_header_done() && chunked() && bytes.size() < kLastChunkBytes)) return 0;
  error_code failure;
  const size_t used = put(boost::asio::buffer(bytes.data(), bytes.size()), failure);
  ok = !failure || failure == http::error::need_more;
  return used;
}

bool ReplyParser::PutEnd() {
  if (is_done()) return true;
  if (!is_header_done()) return false;
  error_code failure;
  put_eof(failure);
  return !failure && is_done();
}

void ReplyParser::on_response_impl(int code, string_view /*reason*/, int /*version*/,
                                   error_code& /*error*/) {
  head_.status = code;
}

void ReplyParser::on_field_impl(http::field /*name*/, string_view text, string_view value,
                                error_code& /*error*/) {
  head_.fields.emplace_back(std::string(text), std::string(value));
}

void ReplyParser::on_header_impl(error_code& /*error*/) {
  head_.keep_alive = keep_alive();
  // Of a body that does not come; Beast has checked the number.
  const std::string_view length = head_.Field("content-length");
  if (!head_only_ || length.empty()) return;
  uint64_t bytes = 0;
  std::from_chars(length.data(), length.data() + length.size(), bytes);
  head_.length = bytes;
}

void ReplyParser::on_body_init_impl(const boost::optional<uint64_t>& length,
                                    error_code& /*error*/) {
  if (length) head_.length = *length;
}

size_t ReplyParser::on_body_impl(string_view bytes, error_code& /*error*/) {
  body_.append(bytes);
  return bytes.size();
}

void ReplyParser::on_chunk_header_impl(uint64_t /*size*/, string_view /*extensions*/,
                                       error_code& /*error*/) {}

size_t ReplyParser::on_chunk_body_impl(uint64_t /*left*/, string_view bytes,
                                       error_code& /*error*/) {
  body_.append(bytes);
  return bytes.size();
}

void ReplyParser::on_finish_impl(error_code& /*error*/) {}

}  // namespace reprise
