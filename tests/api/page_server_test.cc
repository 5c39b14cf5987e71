// The page for browsers: who gets it, in which form, and with which header.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>

#include "fixtures/fake_server.h"
#include "page/page_files.h"

namespace reprise {
namespace {

namespace json = boost::json;

class PageServerTest : public FakeServerTest {
 protected:
  HttpReply Ask(std::string_view method, std::string_view path, std::string_view accept) {
    TestClient client(server_->port());
    client.Send(fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\nAccept: {}\r\n\r\n", method, path,
                            accept));
    return client.Read(method == "HEAD");
  }
};

// What Firefox sends when one opens an address.
constexpr const char* kBrowser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

TEST_F(PageServerTest, BrowsersGetThePageAndProgramsWhatTheyGotBefore) {
  const HttpReply page = Ask("GET", "/", kBrowser);
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.headers.at("content-type"), "text/html; charset=utf-8");
  EXPECT_EQ(page.body, FindPageFile("index.html")->body);
  for (const char* accept : {"*/*", "application/json"}) {
    const json::value said = json::parse(Ask("GET", "/", accept).body);
    EXPECT_EQ(said.at("model"), "tiny");
    EXPECT_EQ(said.at("needs_key"), false);
  }
  EXPECT_EQ(Ask("HEAD", "/", kBrowser).headers.at("content-length"),
            fmt::format("{}", page.body.size()));
}

TEST_F(PageServerTest, ItsFilesMayUseNothingFromElsewhere) {
  for (const std::string path : {"/", "/page/app.js", "/page/theme.css", "/page/uplot.js"}) {
    const HttpReply reply = Ask("GET", path, kBrowser);
    ASSERT_EQ(reply.status, 200) << path;
    EXPECT_EQ(reply.headers.at("content-security-policy"),
              "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
              "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    EXPECT_EQ(reply.headers.at("x-content-type-options"), "nosniff");
  }
}

TEST_F(PageServerTest, FilesHaveTheirTypesAndOthersAreNotThere) {
  EXPECT_EQ(Ask("GET", "/page/app.js", kBrowser).headers.at("content-type"),
            "text/javascript; charset=utf-8");
  EXPECT_EQ(Ask("GET", "/page/theme.css", kBrowser).headers.at("content-type"),
            "text/css; charset=utf-8");
  for (const char* path : {"/page/", "/page/none.js", "/page/../CMakeLists.txt", "/page/files"}) {
    EXPECT_EQ(Ask("GET", path, kBrowser).status, 404) << path;
  }
}

TEST_F(PageServerTest, WithKeysThePageComesWithoutOneAndNothingElseDoes) {
  server_->ReplaceKeys(ApiKeys::Parse("key-a a/one\n", "keys").value());
  EXPECT_EQ(Ask("GET", "/", kBrowser).status, 200);
  EXPECT_EQ(json::parse(Ask("GET", "/", "*/*").body).at("needs_key"), true);
  EXPECT_EQ(Ask("GET", "/page/app.js", kBrowser).status, 200);
  EXPECT_EQ(Ask("POST", "/page/app.js", kBrowser).status, 401);
  EXPECT_EQ(Ask("GET", "/pages", kBrowser).status, 401);
  EXPECT_EQ(Ask("GET", "/cache", kBrowser).status, 401);
}

}  // namespace
}  // namespace reprise
