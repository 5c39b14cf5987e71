#include "simulation/trace_reader.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "fixtures/test_folder.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;

class TraceReaderTest : public testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return (folder_ / name).string();
  }
  static std::string Session(const std::string& requests) {
    return R"({"block_size": 64, "requests": [)" + requests + "]}";
  }

  const TestFolder made_;
  const fs::path folder_ = made_.path();
};

TEST_F(TraceReaderTest, MooncakesLinesAreRequestsAndEqualBeginningsEqualBlocks) {
  const std::string path =
      Write("a.jsonl",
            R"({"timestamp": 0, "input_length": 1500, "output_length": 9, "hash_ids": [5, 6, 7]}
{"timestamp": 3000, "input_length": 1024, "output_length": 1, "hash_ids": [5, 8]}
{"timestamp": 6000, "input_length": 2000, "output_length": 1, "hash_ids": [5, 6, 9, 8]}
)");
  const Trace trace = ReadTrace({.path = path}).value();
  ASSERT_EQ(trace.requests.size(), 3u);
  EXPECT_EQ(trace.block_tokens, 512u);
  EXPECT_EQ(trace.seconds, 6);
  EXPECT_EQ(trace.requests[0].blocks, (std::vector<TokenId>{0, 1, 2}));
  EXPECT_EQ(trace.requests[1].blocks, (std::vector<TokenId>{0, 3}));
  // The same number behind another prefix is another block.
  EXPECT_EQ(trace.requests[2].blocks, (std::vector<TokenId>{0, 1, 4, 5}));
  EXPECT_EQ(trace.distinct_blocks, 6u);
  EXPECT_EQ(trace.requests[0].reply_tokens, 9u);
  EXPECT_EQ(trace.requests[1].after_seconds, 3);
  // The third goes on behind the first one's last whole block.
  EXPECT_EQ(trace.requests[2].session, trace.requests[0].session);
  EXPECT_NE(trace.requests[1].session, trace.requests[0].session);
}

TEST_F(TraceReaderTest, OnlySoManyRequestsAreReadAsAskedFor) {
  const std::string path =
      Write("a.jsonl", R"({"timestamp": 0, "input_length": 5, "output_length": 1, "hash_ids": [1]}
{"timestamp": 0, "input_length": 5, "output_length": 1, "hash_ids": [2]})");
  EXPECT_EQ(ReadTrace({.path = path, .requests = 1})->requests.size(), 1u);
}

TEST_F(TraceReaderTest, AgentsSessionsWaitForTheirReplies) {
  Write("a.json", Session(R"({"t": 0, "in": 100, "out": 7, "hash_ids": [1, 2], "api_time": 4},
      {"t": 10, "in": 600, "out": 1, "hash_ids": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]},
      {"t": 99999, "in": 600, "out": 1, "hash_ids": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]})"));
  const Trace trace = ReadTrace({.path = folder_.string()}).value();
  ASSERT_EQ(trace.requests.size(), 3u);
  EXPECT_EQ(trace.block_tokens, 512u) << "eight of 64 together";
  EXPECT_FALSE(trace.requests[0].follows);
  EXPECT_TRUE(trace.requests[1].follows);
  EXPECT_EQ(trace.requests[1].after_seconds, 6) << "10 s less the 4 s that the reply took";
  EXPECT_EQ(trace.requests[2].after_seconds, 3600) << "nobody is waited for longer than an hour";
  EXPECT_EQ(trace.requests[0].blocks.size(), 1u);
  EXPECT_EQ(trace.requests[1].blocks.size(), 2u);
  EXPECT_EQ(trace.requests[1].blocks, trace.requests[2].blocks);
}

TEST_F(TraceReaderTest, NumbersOfAgentsAreTheirOwnFilesAndTheirOwnTurns) {
  const std::string session = Session(R"({"t": 0, "in": 64, "out": 1, "hash_ids": [1]})");
  Write("a.json", session);
  Write("b.json", session);
  const Trace trace = ReadTrace({.path = folder_.string(), .repeat = 2}).value();
  EXPECT_EQ(trace.requests.size(), 4u);
  EXPECT_EQ(trace.distinct_blocks, 4u);
  const Trace again = ReadTrace({.path = folder_.string(), .repeat = 2}).value();
  EXPECT_EQ(trace.requests[3].after_seconds, again.requests[3].after_seconds) << "the same seed";
  const Trace other = ReadTrace({.path = folder_.string(), .repeat = 2, .seed = 7}).value();
  EXPECT_NE(trace.requests[3].after_seconds, other.requests[3].after_seconds);
}

TEST_F(TraceReaderTest, ASessionBeginsWithItsFirstRequestThatHasBlocks) {
  Write("a.json", Session(R"({"t": 0, "in": 9, "out": 1, "hash_ids": [1]})"));
  Write("b.json", Session(R"({"t": 0, "in": 9, "out": 1, "hash_ids": [], "api_time": 50},
      {"t": 5, "in": 64, "out": 1, "hash_ids": [1], "api_time": 1},
      {"t": 9, "in": 64, "out": 1, "hash_ids": []}, {"t": 16, "in": 64, "out": 1, "hash_ids": [1]})"));
  const Trace trace = ReadTrace({.path = folder_.string()}).value();
  ASSERT_EQ(trace.requests.size(), 3u);
  EXPECT_FALSE(trace.requests[1].follows) << "it waits for nobody else's reply";
  EXPECT_TRUE(trace.requests[2].follows);
  EXPECT_EQ(trace.requests[2].after_seconds, 10) << "16 s less 5 s and the reply's 1 s";
}

TEST_F(TraceReaderTest, WhatIsNotPlayedDoesNotCount) {
  const std::string session = Session(R"({"t": 0, "in": 64, "out": 1, "hash_ids": [1]},
      {"t": 1, "in": 64, "out": 1, "hash_ids": [2]})");
  Write("a.json", session);
  Write("b.json", session);
  const Trace trace = ReadTrace({.path = folder_.string(), .requests = 3}).value();
  EXPECT_EQ(trace.requests.size(), 3u);
  EXPECT_EQ(trace.distinct_blocks, 3u);
  EXPECT_EQ(ReadTrace({.path = folder_.string(), .requests = 2})->distinct_blocks, 2u);
}

TEST_F(TraceReaderTest, WhatIsNoTraceIsAnErrorThatNamesTheFile) {
  for (const std::string& text :
       {std::string("not JSON"), std::string("[1]"), std::string(R"({"timestamp": 0})"),
        std::string(R"({"timestamp": 0, "input_length": "x", "output_length": 1, "hash_ids": []})"),
        std::string(
            R"({"timestamp": 0, "input_length": -5, "output_length": 1, "hash_ids": [1]})")}) {
    const std::string path = Write("bad.jsonl", text);
    const Result<Trace> trace = ReadTrace({.path = path});
    ASSERT_FALSE(trace) << text;
    EXPECT_NE(trace.error().message.find("bad.jsonl"), std::string::npos);
  }
  EXPECT_FALSE(ReadTrace({.path = (folder_ / "missing").string()}));
  EXPECT_FALSE(ReadTrace({.path = Write("bad.json", R"({"block_size": 0, "requests": []})")}));
  fs::remove(folder_ / "bad.json");
  Write("a.json", Session(""));
  Write("b.json", R"({"block_size": 1000, "requests": []})");
  EXPECT_FALSE(ReadTrace({.path = folder_.string()})) << "blocks of different sizes";
  fs::remove(folder_ / "a.json");
  fs::remove(folder_ / "b.json");
  EXPECT_FALSE(ReadTrace({.path = folder_.string()})) << "a folder without sessions";
}

}  // namespace
}  // namespace reprise
