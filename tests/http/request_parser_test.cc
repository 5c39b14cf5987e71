#include "http/request_parser.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "base/limits.h"

namespace reprise {
namespace {

// What comes of `bytes`, shown to the parser `step` at a time: the body, or the error's code.
struct Outcome {
  std::string body, path, host;
  int error = -1;
  size_t most_left = 0;  // bytes that the parser left to be shown again
};

Outcome Parse(std::string_view bytes, size_t step = std::string::npos) {
  RequestParser parser;
  Outcome outcome;
  std::string inbox;
  while (!parser.done() && !parser.error()) {
    const size_t used = parser.Put(inbox);
    inbox.erase(0, used);
    outcome.most_left = std::max(outcome.most_left, inbox.size());
    if (parser.error() || parser.done() || (used > 0 && !inbox.empty())) continue;
    if (bytes.empty()) break;
    inbox += bytes.substr(0, step);
    bytes.remove_prefix(std::min(step, bytes.size()));
  }
  if (parser.error()) outcome.error = static_cast<int>(parser.error()->code);
  if (!parser.done() || parser.error()) return outcome;
  const HttpRequest request = parser.Take();
  outcome.body = request.body;
  outcome.path = request.path;
  outcome.host = request.host;
  return outcome;
}

constexpr int kInvalid = static_cast<int>(ErrorCode::kInvalidArgument);
constexpr int kHeaderTooLarge = static_cast<int>(ErrorCode::kHeaderTooLarge);

constexpr const char* kHost = "POST / HTTP/1.1\r\nHost: a\r\n";
const std::string kChunked = std::string(kHost) + "Transfer-Encoding: chunked\r\n\r\n";

TEST(RequestParserTest, AllFieldsAreKeptForWhoPassesThemOn) {
  RequestParser parser(/*keep_fields=*/true);
  parser.Put("GET / HTTP/1.1\r\nHost: a\r\nX-Api-Key: k\r\nX-Two: 1\r\nX-Two: 2\r\n\r\n");
  ASSERT_NE(parser.head(), nullptr);
  const HttpFields expected = {{"Host", "a"}, {"X-Api-Key", "k"}, {"X-Two", "1"}, {"X-Two", "2"}};
  EXPECT_EQ(parser.head()->fields, expected);
  RequestParser plain;
  plain.Put("GET / HTTP/1.1\r\nHost: a\r\nX-Api-Key: k\r\n\r\n");
  EXPECT_TRUE(plain.head()->fields.empty()) << "keys are not kept where nobody needs them";
}

TEST(RequestParserTest, ABodyMayBeFramedInEveryLegalWay) {
  for (const size_t step : {size_t{1}, size_t{7}, std::string::npos}) {
    EXPECT_EQ(Parse(std::string(kHost) + "Content-Length: 3\r\n\r\nabc", step).body, "abc");
    EXPECT_EQ(Parse(kChunked + "1;x=\"y\"\r\na\r\n2\r\nbc\r\n0\r\nTrailer: x\r\n\r\n", step).body,
              "abc");
    EXPECT_EQ(
        Parse("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: CHUNKED\r\n\r\n0\r\n\r\n", step)
            .error,
        -1);
  }
  std::string drops = kChunked;  // 24 KiB of them
  for (int i = 0; i < 4096; ++i) drops += "1\r\na\r\n";
  EXPECT_EQ(Parse(drops + "0\r\n\r\n").body, std::string(4096, 'a'));
}

// Each would let a proxy and this server see different requests in the same bytes.
TEST(RequestParserTest, AmbiguousFramingIsAnError) {
  for (const std::string_view fields : {
           "Transfer-Encoding: xchunked\r\n",
           "Transfer-Encoding: identity\r\n",
           "Transfer-Encoding: identity\r\nContent-Length: 3\r\n",
           "Transfer-Encoding: gzip, chunked\r\n",
           "Transfer-Encoding: chunked, chunked\r\n",
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
           "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
           "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
           "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
           "Transfer-Encoding: \r\n",
           "Transfer-Encoding: chunked;a=b\r\n",
           "Content-Length: 3\r\nContent-Length: 4\r\n",
           "Content-Length: +3\r\n",
           "Content-Length: 0x3\r\n",
           "Host: b\r\n",
       }) {
    EXPECT_EQ(Parse(fmt::format("{}{}\r\n0\r\n\r\n", kHost, fields)).error, kInvalid) << fields;
  }
  EXPECT_EQ(Parse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").error,
            kInvalid);
  EXPECT_EQ(Parse("GET / HTTP/1.1\r\n\r\n").error, kInvalid) << "no Host";
  EXPECT_EQ(Parse("GET / HTTP/1.0\r\n\r\n").path, "/");
}

TEST(RequestParserTest, ExtensionsAndTrailersAreBoundedLikeAHeader) {
  const std::string mebibyte(1u << 20, 'a');
  const Outcome extension = Parse(kChunked + "1;a=" + mebibyte, 4096);
  EXPECT_EQ(extension.error, kHeaderTooLarge);
  EXPECT_LE(extension.most_left, limits::kMaxHeaderBytes + 4096);
  std::string trailers = kChunked + "1\r\na\r\n0\r\n";
  while (trailers.size() < mebibyte.size()) trailers += "a: b\r\n";
  const Outcome trailing = Parse(trailers, 4096);
  EXPECT_EQ(trailing.error, kHeaderTooLarge);
  EXPECT_LE(trailing.most_left, limits::kMaxHeaderBytes + 4096);
  // No one of them is long.
  std::string extensions = kChunked;
  while (extensions.size() < 4 * mebibyte.size()) extensions += "1;a=bbbbbbbbbbbb\r\na\r\n";
  EXPECT_EQ(Parse(extensions, 4096).error, kHeaderTooLarge);
  EXPECT_EQ(Parse(kChunked + std::string(1u << 20, '0')).error, kHeaderTooLarge);
}

TEST(RequestParserTest, WorkForAByteIsConstant) {
  const auto seconds_for = [](size_t bytes) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 20; ++i) {
      Parse(kChunked + "1;a=" + std::string(bytes, 'a'), 16);
      Parse(kChunked + "0\r\n" + std::string(bytes, 'a'), 16);
    }
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  seconds_for(4000);
  const double ratio = seconds_for(32'000) / seconds_for(4'000);
  EXPECT_LT(ratio, 40) << "8 times the bytes; quadratic work would make it 64";
}

TEST(RequestParserTest, AProxysAbsoluteFormIsRead) {
  const Outcome outcome = Parse("GET http://b:80/v1/models?x HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(outcome.path, "/v1/models");
  EXPECT_EQ(outcome.host, "b:80");
  EXPECT_EQ(Parse("GET http://b HTTP/1.1\r\nHost: a\r\n\r\n").path, "/");
  EXPECT_EQ(Parse("GET htTp:// HTTP/1.1\r\nHost: a\r\n\r\n").path, "/");
  EXPECT_EQ(Parse("GET http://https://b HTTP/1.1\r\nHost: a\r\n\r\n").host, "https:");
}

TEST(RequestParserTest, ACompressedBodyIsNamed) {
  RequestParser parser;
  const std::string bytes =
      std::string(kHost) + "Content-Encoding: br\r\nContent-Length: 3\r\n\r\n";
  parser.Put(bytes);
  ASSERT_TRUE(parser.error());
  EXPECT_EQ(parser.error()->code, ErrorCode::kUnsupportedMediaType);
  EXPECT_NE(parser.error()->message.find("br"), std::string::npos);
}

}  // namespace
}  // namespace reprise
