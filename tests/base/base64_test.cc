#include "base/base64.h"

#include <gtest/gtest.h>

namespace reprise {
namespace {

TEST(Base64Test, AgreesWithTheStandardsExamples) {
  // RFC 4648, section 10.
  const std::pair<const char*, const char*> examples[] = {{"", ""},
                                                          {"f", "Zg=="},
                                                          {"fo", "Zm8="},
                                                          {"foo", "Zm9v"},
                                                          {"foob", "Zm9vYg=="},
                                                          {"fooba", "Zm9vYmE="},
                                                          {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : examples) {
    EXPECT_EQ(EncodeBase64(bytes), text);
    EXPECT_EQ(DecodeBase64(text), bytes);
  }
}

TEST(Base64Test, WhatIsNoneIsSaid) {
  EXPECT_FALSE(DecodeBase64("Zg=").has_value());
  EXPECT_FALSE(DecodeBase64("Z*==").has_value());
}

}  // namespace
}  // namespace reprise
