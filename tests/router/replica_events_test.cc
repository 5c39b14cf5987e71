#include "router/replica_events.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "fixtures/test_model.h"
#include "played_replica.h"
#include "text/vocabulary_hash.h"
#include "vendor/openai/endpoints.h"

namespace reprise {
namespace {

class ReplicaEventsTest : public ::testing::Test {
 protected:
  ReplicaEventsTest() {
    events_.Begin();
    Take("hello", Hello());
  }

  static std::string Hello(std::string_view process = "00000000000000aa",
                           std::string_view places = R"("memory","shared")",
                           std::string_view more = "") {
    return fmt::format(
        R"({{"process":"{}","model":"tiny","identity":"{}","block_tokens":32,"context":4096,
        "template":"{}","vocabulary":"{}","tool_format":"hermes","cache_key_isolates":false,"drop_billing_line":true,
        "cache_minimum_tokens":0,"places":[{}],"version":"1"{}}})",
        process, std::string(64, 'a'), TemplateHash(kChatMl),
        VocabularyHash(TestModel().tokenizer->vocabulary()), places, more);
  }
  void Take(std::string_view name, std::string_view data) {
    const Status taken = events_.Take(name, data, now_);
    EXPECT_TRUE(taken) << data << ": " << taken.error().message;
  }
  bool Refused(std::string_view name, std::string_view data) {
    return !events_.Take(name, data, now_);
  }
  void TakeWholeSnapshots() {
    Take("blocks", R"({"place":"memory","sequence":3,"snapshot":"whole","stored":[
      {"parent":null,"blocks":["0000000000000001","0000000000000002"],"tokens":64}],
      "removed":[]})");
    Take("blocks", R"({"place":"shared","sequence":0,"snapshot":"whole","stored":[],
      "removed":[]})");
  }
  size_t InMemory() const { return holdings_.blocks(replica_.index, Level::kMemory); }
  Reach Find(std::vector<BlockName> chain) const {
    std::vector<Reach> reach(3);
    holdings_.Find(chain, reach);
    return reach[replica_.index];
  }

  const TimePoint now_ = TimePoint(std::chrono::seconds(5));
  const std::shared_ptr<PromptReader> reader_ = ReaderOf(TestModel(), kChatMl);
  Holdings holdings_{1024};
  ReplicaLore lore_{.holdings = holdings_, .reader = *reader_, .terms = {}};
  Replica replica_{1, {"127.0.0.1", 8080}};
  ReplicaEvents events_{replica_, lore_};
};

TEST_F(ReplicaEventsTest, AReplicaIsFollowedWhenAllItsPlacesHaveBeenToldInFull) {
  EXPECT_EQ(replica_.told.process, "00000000000000aa");
  ASSERT_TRUE(events_.basis());
  EXPECT_EQ(events_.basis()->block_tokens, 32U);
  EXPECT_EQ(events_.basis()->identity.Hex(), std::string(64, 'a'));
  EXPECT_FALSE(replica_.told.followed);
  Take("blocks", R"({"place":"memory","sequence":3,"snapshot":"begin","stored":[
    {"parent":null,"blocks":["0000000000000001"],"tokens":32}],"removed":[]})");
  Take("blocks", R"({"place":"shared","sequence":0,"snapshot":"whole","stored":[
    {"parent":null,"blocks":["0000000000000003"],"tokens":32}],"removed":[]})");
  EXPECT_FALSE(replica_.told.followed);
  Take("blocks", R"({"place":"memory","sequence":3,"snapshot":"end","stored":[
    {"parent":"0000000000000001","blocks":["fedcba9876543210"],"tokens":32}],"removed":[]})");
  EXPECT_TRUE(replica_.told.followed);
  EXPECT_EQ(Find({1, 0xfedcba9876543210, 3, 4}),
            (Reach{.memory_blocks = 2, .disk_blocks = 2, .loadable_blocks = 3}));
}

TEST_F(ReplicaEventsTest, ChangesAreAppliedInTheirOrder) {
  TakeWholeSnapshots();
  Take("blocks", R"({"place":"memory","sequence":4,"stored":[{"parent":"0000000000000002",
    "blocks":["0000000000000003"],"tokens":32}],"removed":["0000000000000002"]})");
  EXPECT_EQ(Find({1}).memory_blocks, 1U);
  EXPECT_EQ(Find({3}).memory_blocks, 1U);
  EXPECT_EQ(Find({2}).memory_blocks, 0U);
  Take("blocks", R"({"place":"memory","sequence":5,"cleared":true,"stored":[{"parent":null,
    "blocks":["0000000000000009"],"tokens":32}],"removed":[]})");
  EXPECT_EQ(InMemory(), 1U);
  EXPECT_EQ(Find({9}).memory_blocks, 1U);
}

TEST_F(ReplicaEventsTest, AGapInTheNumbersOfAPlaceIsAFault) {
  TakeWholeSnapshots();
  EXPECT_TRUE(Refused("blocks", R"({"place":"memory","sequence":5,"stored":[],"removed":[]})"));
  EXPECT_TRUE(Refused("blocks", R"({"place":"memory","sequence":3,"stored":[],"removed":[]})"));
  Take("blocks", R"({"place":"memory","sequence":4,"stored":[],"removed":[]})");
  Take("blocks", R"({"place":"shared","sequence":1,"stored":[],"removed":[]})");
}

TEST_F(ReplicaEventsTest, WhatCannotFollowOrBeReadIsAFault) {
  constexpr const char* kChange = R"({"place":"memory","sequence":1,"stored":[],"removed":[]})";
  EXPECT_TRUE(Refused("blocks", kChange)) << "before its snapshot";
  EXPECT_TRUE(Refused("blocks", R"({"place":"memory","sequence":1,"snapshot":"end"})"));
  Take("blocks", R"({"place":"memory","sequence":7,"snapshot":"begin"})");
  EXPECT_TRUE(Refused("blocks", R"({"place":"memory","sequence":8,"snapshot":"end"})"));
  EXPECT_TRUE(Refused("blocks", R"({"place":"memory","sequence":8})")) << "within its snapshot";
  EXPECT_TRUE(Refused("blocks", R"({"place":"memory","snapshot":"whole"})"));
  EXPECT_TRUE(Refused("blocks", R"({"place":"memory","sequence":7,"snapshot":"whole",
    "removed":["no name"]})"));
  EXPECT_TRUE(Refused("blocks", R"({"place":"memory","sequence":7,"snapshot":"whole",
    "stored":[1]})"));
  EXPECT_TRUE(Refused("blocks", "no JSON"));
  EXPECT_TRUE(Refused("hello", R"({"process":"1"})"));
  ReplicaEvents fresh(replica_, lore_);
  replica_.told.process.clear();
  EXPECT_FALSE(fresh.Take("load", "{}", now_)) << "before hello";
}

TEST_F(ReplicaEventsTest, WhatLaterServersTellBesidesIsNoFault) {
  Take("weather", R"({"sun":true})");
  Take("blocks", R"({"place":"tape","sequence":1,"stored":[],"removed":[]})");
}

TEST_F(ReplicaEventsTest, ALostStreamLeavesTheReplicaCold) {
  TakeWholeSnapshots();
  Take("blocks", R"({"place":"shared","sequence":1,"stored":[{"parent":null,
    "blocks":["0000000000000007"],"tokens":32}],"removed":[]})");
  EXPECT_EQ(Find({7}).loadable_blocks, 1U);
  events_.End();
  EXPECT_FALSE(replica_.told.followed);
  EXPECT_EQ(InMemory(), 0U);
  EXPECT_EQ(Find({7}).loadable_blocks, 0U) << "it is not there to load it";
  EXPECT_FALSE(events_.basis());
  // What lies in the shared store lies there for the others.
  holdings_.SetSharing(2, true);
  std::vector<Reach> reach(3);
  holdings_.Find(std::vector<BlockName>{7}, reach);
  EXPECT_EQ(reach[2].loadable_blocks, 1U);
  // Its next snapshot tells all anew.
  Take("hello", Hello("00000000000000bb"));
  TakeWholeSnapshots();
  EXPECT_TRUE(replica_.told.followed);
  EXPECT_EQ(InMemory(), 2U);
  holdings_.Find(std::vector<BlockName>{7}, reach);
  EXPECT_EQ(reach[2].loadable_blocks, 0U);
}

TEST_F(ReplicaEventsTest, LoadAndDrainingAreTold) {
  Take("load", R"({"running":2,"waiting":1,"ahead_seconds":0.5,"seconds_per_token":0.001,
    "seconds_per_token_and_key":1e-7,"disk_seconds_per_token":2e-5,"shared_seconds_per_token":0})");
  EXPECT_EQ(replica_.told.load.ahead_seconds, 0.5);
  EXPECT_EQ(replica_.told.load.seconds_per_token, 0.001);
  EXPECT_EQ(replica_.told.load.seconds_per_token_and_key, 1e-7);
  EXPECT_EQ(replica_.told.load.disk_seconds_per_token, 2e-5);
  EXPECT_EQ(replica_.told.load.told, now_);
  Take("draining", "{}");
  EXPECT_TRUE(replica_.told.draining);
  events_.End();
  EXPECT_TRUE(replica_.told.draining);
  Take("hello", Hello());
  EXPECT_TRUE(replica_.told.draining);
  Take("hello", Hello("00000000000000bb"));
  EXPECT_FALSE(replica_.told.draining) << "another process is another matter";
}

TEST_F(ReplicaEventsTest, OfAReplicaWithAnotherTemplateOrVocabularyNothingIsExpected) {
  const std::shared_ptr<const ServedModel> ours = reader_->model();
  for (const auto& [hash, words] : {std::pair{ours->template_hash, "--chat-template"},
                                    std::pair{ours->vocabulary_hash, "another vocabulary"}}) {
    std::string hello = Hello();
    hello.replace(hello.find(hash), hash.size(), std::string(64, 'b'));
    Take("hello", hello);
    EXPECT_NE(replica_.told.trouble.find(words), std::string::npos) << replica_.told.trouble;
    TakeWholeSnapshots();
    EXPECT_FALSE(replica_.told.followed);
    EXPECT_EQ(InMemory(), 0U);
    EXPECT_FALSE(events_.basis());
  }
  Take("hello", Hello());
  EXPECT_EQ(replica_.told.trouble, "");
}

TEST_F(ReplicaEventsTest, WhoDiffersIsLookedAtAnewWhenTheOthersHaveGone) {
  Replica other(2, {"127.0.0.1", 8081});
  ReplicaEvents others(other, lore_);
  others.Begin();
  std::string hello = Hello("cc");
  hello.replace(hello.find("\"cache_minimum_tokens\":0"), 24, "\"cache_minimum_tokens\":9");
  EXPECT_TRUE(others.Take("hello", hello, now_));
  EXPECT_TRUE(others.Take("load", "{}", now_)) << "the first still has other settings";
  events_.End();
  EXPECT_FALSE(others.Take("load", "{}", now_)) << "its stream begins anew …";
  others.End();
  EXPECT_TRUE(others.Take("hello", hello, now_));
  EXPECT_EQ(other.told.trouble, "") << "… and is believed";
  // One that comes back with these settings is no trouble either, with the old ones it is.
  Take("hello", Hello());
  EXPECT_NE(replica_.told.trouble, "");
}

TEST_F(ReplicaEventsTest, ReplicasThatReadPromptsOtherwiseThanTheFirstAreInTrouble) {
  Replica other(2, {"127.0.0.1", 8081});
  ReplicaEvents others(other, lore_);
  others.Begin();
  std::string hello = Hello("cc");
  hello.replace(hello.find("\"cache_minimum_tokens\":0"), 24, "\"cache_minimum_tokens\":9");
  EXPECT_TRUE(others.Take("hello", hello, now_));
  EXPECT_NE(other.told.trouble, "");
  hello = Hello("cc");
  hello.replace(hello.find("4096"), 4, "8192");  // a longer window is nobody's trouble …
  EXPECT_TRUE(others.Take("hello", hello, now_));
  EXPECT_EQ(other.told.trouble, "");
  const std::string body = fmt::format(R"({{"prompt":"{}"}})", std::string(6000, 'x'));
  EXPECT_TRUE(reader_->Read(kTextCompletions, body, "", {}));  // … and prompts of it are read
}

}  // namespace
}  // namespace reprise
