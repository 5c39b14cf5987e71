#include "http/api_keys.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "http/authentication.h"

namespace reprise {
namespace {

constexpr const char* kGood =
    "# who may ask\n"
    "\n"
    "sk-one  acme/production\n"
    "\tsk-two\tacme/production\t# the second key of the same tenant\r\n"
    "sk#3 other/x admin # after a space it is a comment\n"
    "sk-last z/z";

ApiKeys Good() { return ApiKeys::Parse(kGood, "keys").value(); }

std::string FaultOf(const std::string& text) {
  const auto keys = ApiKeys::Parse(text, "keys");
  return keys ? "accepted" : keys.error().message;
}

TEST(ApiKeysTest, EachKeyBelongsToItsTenant) {
  const ApiKeys keys = Good();
  EXPECT_EQ(keys.size(), 4U);
  EXPECT_EQ(keys.Find("sk-one")->tenant, "acme/production");
  EXPECT_EQ(keys.Find("sk-two")->tenant, "acme/production");
  EXPECT_FALSE(keys.Find("sk-two")->admin);
  EXPECT_EQ(keys.Find("sk#3")->tenant, "other/x");
  EXPECT_TRUE(keys.Find("sk#3")->admin);
  EXPECT_EQ(keys.Find("sk-last")->tenant, "z/z");
}

TEST(ApiKeysTest, WhatIsNotExactlyAKeyIsNobodys) {
  const ApiKeys keys = Good();
  for (const std::string& key :
       {std::string(), std::string("sk-on"), std::string("sk-one "), std::string("Sk-one"),
        std::string("sk-one\0", 7), std::string("sk-onesk-one"), std::string("acme/production"),
        std::string(limits::kMaxApiKeyBytes + 1, 'a'),
        std::string(limits::kMaxApiKeyBytes, '\0')}) {
    EXPECT_FALSE(keys.Find(key)) << key;
  }
}

TEST(ApiKeysTest, ALongestKeyIsComparedToItsEnd) {
  std::string longest(limits::kMaxApiKeyBytes, 'k');
  const ApiKeys keys = ApiKeys::Parse(longest + " a/b", "keys").value();
  EXPECT_TRUE(keys.Find(longest));
  longest.back() = 'l';
  EXPECT_FALSE(keys.Find(longest));
}

TEST(ApiKeysTest, ABadLineIsNamedAndNeverQuoted) {
  struct Row {
    std::string line;
    const char* fault;
  };
  const Row table[] = {
      {"sk-secret", "1 part"},
      {"acme/production", "1 part"},  // the key is missing
      {"sk-secret a/b admin more", "4 parts"},
      {"sk-secret a/b root", "only be the word admin"},
      {"sk-secret a/b Admin", "only be the word admin"},
      {"sk-secret acme", "not ORGANISATION/WORKSPACE"},
      {"sk-secret /b", "not ORGANISATION/WORKSPACE"},
      {"sk-secret a/", "not ORGANISATION/WORKSPACE"},
      {"sk-secret a/b/c", "not ORGANISATION/WORKSPACE"},
      {"a/b sk-secret", "not ORGANISATION/WORKSPACE"},
      {"sk-secret\x01 a/b", "the key holds a byte that is not printable ASCII"},
      {"sk-secret\xc3\xa9 a/b", "the key holds a byte that is not printable ASCII"},
      {std::string("sk-secret\0x a/b", 15), "the key holds a byte that is not printable ASCII"},
      {"sk-secret a\x7f/b", "the tenant holds a byte that is not printable ASCII"},
      {std::string(limits::kMaxApiKeyBytes + 1, 'k') + " a/b", "the key is longer than 256 bytes"},
      {"sk-secret a/" + std::string(limits::kMaxTenantBytes, 't'),
       "the tenant is longer than 128 bytes"},
      {"sk-first a/b", "the key is that of line 1 again"},
      {"sk-first other/x admin", "the key is that of line 1 again"},
  };
  for (const Row& row : table) {
    const std::string fault = FaultOf("sk-first a/b\n\n" + row.line + "\nsk-after c/d\n");
    EXPECT_TRUE(fault.starts_with("keys:3: ")) << fault;
    EXPECT_NE(fault.find(row.fault), std::string::npos) << fault << " for " << row.line;
    for (const char* secret : {"sk-", "secret", "acme", "kkk", "ttt"}) {
      EXPECT_EQ(fault.find(secret), std::string::npos) << fault;
    }
  }
}

TEST(ApiKeysTest, AFileWithoutAKeyIsAFault) {
  for (const char* text : {"", "\n\n", "# nobody\n"}) {
    EXPECT_TRUE(FaultOf(text).find("no key") != std::string::npos) << text;
  }
}

TEST(ApiKeysTest, ThereIsALastKey) {
  std::string text;
  for (size_t i = 0; i < limits::kMaxApiKeys; ++i) text += fmt::format("key{} a/b\n", i);
  EXPECT_EQ(FaultOf(text), "accepted");
  EXPECT_EQ(FaultOf(text + "one-more a/b\n"), "keys:1025: this is one more than 1024 keys");
}

class ApiKeyFileTest : public testing::Test {
 protected:
  ~ApiKeyFileTest() override { unlink(path_.c_str()); }
  void Write(const std::string& text) { std::ofstream(path_, std::ios::binary) << text; }
  ErrorCode CodeOf() {
    const auto keys = ApiKeys::Read(path_);
    return keys ? ErrorCode::kInternal : keys.error().code;
  }

  const std::string path_ = fmt::format("{}api_keys_{}", testing::TempDir(), getpid());
};

TEST_F(ApiKeyFileTest, IsReadWhole) {
  Write(kGood);
  EXPECT_EQ(ApiKeys::Read(path_).value().size(), 4U);
}

TEST_F(ApiKeyFileTest, WhatCannotBeReadIsAFaultThatNamesTheFile) {
  EXPECT_EQ(CodeOf(), ErrorCode::kNotFound);
  EXPECT_NE(ApiKeys::Read(path_).error().message.find(path_), std::string::npos);
  EXPECT_EQ(ApiKeys::Read(testing::TempDir()).error().code, ErrorCode::kIo);
  Write(std::string(limits::kMaxApiKeyFileBytes + 1, '\n'));
  EXPECT_EQ(CodeOf(), ErrorCode::kTooLarge);
}

TEST_F(ApiKeyFileTest, IsWarnedOfWhenEverybodyCanReadIt) {
  Write(kGood);
  for (const bool everybody : {true, false}) {
    chmod(path_.c_str(), everybody ? 0644 : 0640);
    testing::internal::CaptureStderr();
    EXPECT_TRUE(ApiKeys::Read(path_));
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_EQ(log.find("every user of this machine can read") != std::string::npos, everybody);
    EXPECT_EQ(log.find("sk-"), std::string::npos);
  }
}

// -- Whose request it is --------------------------------------------------------------------------

HttpRequest Head(HttpCredentials credentials, std::string method = "POST",
                 std::string path = "/v1/messages") {
  HttpRequest head;
  head.method = std::move(method);
  head.path = std::move(path);
  head.credentials = std::move(credentials);
  return head;
}

std::string TenantOf(const HttpRequest& head) {
  const ApiKeys keys = Good();
  const auto identity = Authenticate(head, &keys);
  if (identity) return identity->tenant;
  EXPECT_EQ(identity.error().code, ErrorCode::kUnauthorized);
  return identity.error().message;
}

TEST(AuthenticationTest, WithoutKeysEverybodyIsTheOneTenantsAdministrator) {
  for (const HttpCredentials& credentials : {HttpCredentials{}, HttpCredentials{{"x"}, {"y"}}}) {
    const auto identity = Authenticate(Head(credentials), nullptr);
    ASSERT_TRUE(identity);
    EXPECT_EQ(identity->tenant, "");
    EXPECT_TRUE(identity->admin);
  }
}

TEST(AuthenticationTest, AKeyIsTakenFromEitherField) {
  EXPECT_EQ(TenantOf(Head({{"sk-one"}, {}})), "acme/production");
  EXPECT_EQ(TenantOf(Head({{}, {"Bearer sk-one"}})), "acme/production");
  EXPECT_EQ(TenantOf(Head({{}, {"bEARER   sk-one"}})), "acme/production");
}

TEST(AuthenticationTest, WhatIsNoKeyIsRefusedWithoutBeingRepeated) {
  for (const HttpCredentials& credentials :
       {HttpCredentials{{"sk-wrong"}, {}}, HttpCredentials{{}, {"Bearer sk-wrong"}},
        HttpCredentials{{}, {"Bearer sk-one sk-one"}}}) {
    EXPECT_EQ(TenantOf(Head(credentials)), "The API key is not valid.");
  }
  for (const HttpCredentials& credentials :
       {HttpCredentials{}, HttpCredentials{{""}, {}}, HttpCredentials{{}, {"sk-one"}},
        HttpCredentials{{}, {"Bearer"}}, HttpCredentials{{}, {"Bearer "}},
        HttpCredentials{{}, {"Basic sk-one"}}, HttpCredentials{{}, {""}}}) {
    EXPECT_TRUE(TenantOf(Head(credentials)).starts_with("An API key is needed"));
  }
}

TEST(AuthenticationTest, TwoFieldsMustNameTheSameKey) {
  EXPECT_EQ(TenantOf(Head({{"sk-one"}, {"Bearer sk-one"}})), "acme/production");
  EXPECT_EQ(TenantOf(Head({{"sk-one"}, {"Basic dXNlcg=="}})), "acme/production");
  EXPECT_EQ(TenantOf(Head({{""}, {"Bearer sk-one"}})), "acme/production");
  for (const HttpCredentials& credentials :
       {HttpCredentials{{"sk-one"}, {"Bearer sk-two"}},
        HttpCredentials{{"sk-one"}, {"Bearer sk-wrong"}}, HttpCredentials{{"sk-one", "sk-two"}, {}},
        HttpCredentials{{}, {"Bearer sk-one", "Bearer sk-two"}}}) {
    EXPECT_EQ(TenantOf(Head(credentials)), "The header names two different API keys.");
  }
}

TEST(AuthenticationTest, OnlyLookingWhetherTheServerIsThereNeedsNoKey) {
  for (const char* path : {"/", "/health"}) {
    for (const char* method : {"GET", "HEAD"}) {
      const ApiKeys keys = Good();
      const auto identity = Authenticate(Head({}, method, path), &keys);
      ASSERT_TRUE(identity);
      EXPECT_FALSE(identity->admin);
    }
    EXPECT_TRUE(TenantOf(Head({}, "POST", path)).starts_with("An API key is needed"));
  }
  for (const char* path : {"/v1/models", "/metrics", "/cache", "/props", "/nothing", "/healthy"}) {
    EXPECT_TRUE(TenantOf(Head({}, "GET", path)).starts_with("An API key is needed")) << path;
  }
}

}  // namespace
}  // namespace reprise
