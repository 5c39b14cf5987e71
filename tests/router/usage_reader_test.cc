#include "router/usage_reader.h"

#include <gtest/gtest.h>

#include <string>

#include "base/fleet_limits.h"

namespace reprise {
namespace {

std::optional<PromptUsage> UsageIn(std::string_view text) {
  UsageReader whole;
  whole.Put(text);
  // However the bytes come, the same is found.
  for (const size_t size : {size_t{1}, size_t{7}, size_t{64}}) {
    UsageReader pieces;
    for (size_t at = 0; at < text.size(); at += size) pieces.Put(text.substr(at, size));
    EXPECT_EQ(pieces.usage(), whole.usage()) << size;
  }
  return whole.usage();
}

TEST(UsageReaderTest, OpenAisUsageIsFoundInBodiesAndStreams) {
  EXPECT_EQ(UsageIn(R"({"id":"c","choices":[],"usage":{"prompt_tokens":90,"completion_tokens":3,
    "prompt_tokens_details":{"cached_tokens":64}}})"),
            (PromptUsage{90, 64}));
  EXPECT_EQ(UsageIn("data: {\"choices\":[{\"delta\":{}}],\"usage\":null}\n\n"
                    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5}}\n\ndata: [DONE]\n\n"),
            (PromptUsage{5, std::nullopt}));
  EXPECT_EQ(UsageIn(R"({"output":[],"usage" : {"input_tokens":12,
    "input_tokens_details":{"cached_tokens":0},"output_tokens":2}})"),
            (PromptUsage{12, 0}));
}

TEST(UsageReaderTest, AnthropicsThreePartsAreOnePrompt) {
  const std::string start =
      "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":4,"
      "\"cache_creation_input_tokens\":10,\"cache_read_input_tokens\":100,"
      "\"cache_creation\":{\"ephemeral_5m_input_tokens\":10}}}}\n\n";
  EXPECT_EQ(UsageIn(start + "data: {\"usage\":{\"output_tokens\":7}}\n\n"),
            (PromptUsage{114, 100}));
}

TEST(UsageReaderTest, LlamaServersTimingsSayItToo) {
  EXPECT_EQ(UsageIn(R"({"usage":{"prompt_tokens":50,"completion_tokens":2},
    "timings":{"cache_n":40,"prompt_n":10,"prompt_ms":1.5}})"),
            (PromptUsage{50, 40}));
  EXPECT_EQ(UsageIn(R"({"timings":{"cache_n":40,"prompt_n":10},"usage":{"prompt_tokens":50}})"),
            (PromptUsage{50, 40}));
}

TEST(UsageReaderTest, WhatTheModelWritesIsNoUsage) {
  EXPECT_EQ(UsageIn(R"({"content":"{\"usage\":{\"prompt_tokens\":1}}"})"), std::nullopt);
  EXPECT_EQ(UsageIn(R"({"usage":{"note":"a } in a text","prompt_tokens":8}})"),
            (PromptUsage{8, std::nullopt}));
  EXPECT_EQ(UsageIn(R"({"usage":{"prompt_tokens":-1}} {"usage":[1]} {"usage":{"half":)"),
            std::nullopt);
}

TEST(UsageReaderTest, AUsageWithoutAnEndIsGivenUp) {
  UsageReader reader;
  reader.Put("{\"usage\":{\"open\":" + std::string(2 * limits::kMaxUsageBytes, ' '));
  reader.Put("{\"usage\":{\"prompt_tokens\":3}}");
  EXPECT_EQ(reader.usage(), (PromptUsage{3, std::nullopt}));
}

}  // namespace
}  // namespace reprise
