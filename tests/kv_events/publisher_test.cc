// Over real sockets of this machine, with an engine that the test plays.

#include "kv_events/publisher.h"

#include <gtest/gtest.h>
#include <zmq.h>

#include <condition_variable>
#include <mutex>

#include "base/fleet_limits.h"
#include "kv_events/event_batch.h"

// Read by the thread sanitizer, where there is one. Debian's libzmq is not built for it, so how its
// threads wait for each other is not seen.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() { return "race:libzmq.so\n"; }

namespace reprise {
namespace {

using Frames = std::vector<std::string>;

// A reader of one kind; waits long, since the machine may be loaded.
class Reader {
 public:
  Reader(int kind, const std::string& address)
      : context_(zmq_ctx_new()), socket_(zmq_socket(context_, kind)) {
    const int wait_ms = 60'000;
    zmq_setsockopt(socket_, ZMQ_RCVTIMEO, &wait_ms, sizeof(wait_ms));
    if (kind == ZMQ_SUB) zmq_setsockopt(socket_, ZMQ_SUBSCRIBE, "", 0);
    EXPECT_EQ(zmq_connect(socket_, address.c_str()), 0);
  }
  ~Reader() {
    zmq_close(socket_);
    zmq_ctx_term(context_);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  bool AwaitMessage(int milliseconds) {
    zmq_pollitem_t item{.socket = socket_, .fd = 0, .events = ZMQ_POLLIN, .revents = 0};
    return zmq_poll(&item, 1, milliseconds) == 1;
  }
  Frames Receive() {
    Frames frames;
    zmq_msg_t message;
    zmq_msg_init(&message);
    do {
      if (zmq_msg_recv(&message, socket_, 0) < 0) {
        ADD_FAILURE() << "nothing came";
        break;
      }
      frames.emplace_back(static_cast<char*>(zmq_msg_data(&message)), zmq_msg_size(&message));
    } while (zmq_msg_more(&message) != 0);
    zmq_msg_close(&message);
    return frames;
  }

  // All from `start` on but the end.
  std::vector<Frames> Replay(const std::string& start) {
    Ask({"", start});
    std::vector<Frames> answers;
    for (;;) {
      Frames frames = Receive();
      if (frames.size() < 2) return answers;
      frames.erase(frames.begin());
      if (frames.back().empty()) {
        EXPECT_EQ(frames, (Frames{"", std::string(8, '\xff'), ""}));
        return answers;
      }
      answers.push_back(frames);
    }
  }
  void Ask(const Frames& frames) {
    for (size_t i = 0; i < frames.size(); ++i) {
      zmq_send(socket_, frames[i].data(), frames[i].size(),
               i + 1 < frames.size() ? ZMQ_SNDMORE : 0);
    }
  }

 private:
  void* context_;
  void* socket_;
};

std::string Number(uint8_t number) { return std::string(7, '\0') + static_cast<char>(number); }

// The events of a payload, as bytes: all behind the time.
std::string EventsOf(const std::string& payload) { return payload.substr(10); }
std::string EventsOf(const std::vector<KvEvent>& events) {
  return EventsOf(EncodeBatch(0, events, 2, EventEncoding::kMap));
}

BlockRun Block(BlockName name, std::optional<BlockName> parent = {}) {
  const auto token = static_cast<TokenId>(name);
  return {.parent = parent, .blocks = {name}, .tokens = {token, token}};
}

class PublisherTest : public ::testing::Test {
 protected:
  void Start() {
    auto publisher = KvEventPublisher::Start({.address = "tcp://127.0.0.1:0",
                                              .replay_address = "tcp://127.0.0.1:*",
                                              .topic = "kv@here@model",
                                              .block_tokens = 2},
                                             [this](BlockSink sink) { Watch(std::move(sink)); });
    ASSERT_TRUE(publisher) << publisher.error().message;
    publisher_ = *std::move(publisher);
    AwaitWatches(1);
  }

  // The engine's side: what it holds is a snapshot for who begins to watch.
  void Watch(BlockSink sink) {
    const std::scoped_lock lock(mutex_);
    BlockChanges snapshot;
    snapshot.kind = BlockChanges::Kind::kSnapshot;
    snapshot.begins = snapshot.ends = true;
    for (const BlockName name : held_) snapshot.stored.push_back(Block(name));
    if (sink(std::make_shared<const BlockChanges>(snapshot))) sinks_.push_back(std::move(sink));
    ++watches_;
    watched_.notify_all();
  }
  void AwaitWatches(int count) {
    std::unique_lock lock(mutex_);
    watched_.wait(lock, [&] { return watches_ >= count; });
  }
  void Tell(const BlockChanges& changes) {
    const std::scoped_lock lock(mutex_);
    const auto told = std::make_shared<const BlockChanges>(changes);
    std::erase_if(sinks_, [&](const BlockSink& sink) { return !sink(told); });
  }
  void TellStored(BlockName name) {
    BlockChanges changes;
    changes.stored = {Block(name)};
    Tell(changes);
  }
  // Before its subscription has arrived, what is published passes a reader by. Returns the first
  // message that did not: the blocks stored until then have the names 1, 2, …
  Frames Join(Reader& reader) {
    for (;;) {
      TellStored(++stored_);
      if (reader.AwaitMessage(50)) return reader.Receive();
    }
  }

  std::mutex mutex_;
  std::condition_variable watched_;
  std::vector<BlockName> held_;
  std::vector<BlockSink> sinks_;
  int watches_ = 0;
  BlockName stored_ = 0;
  std::unique_ptr<KvEventPublisher> publisher_;
};

TEST_F(PublisherTest, BatchesAreNumberedAndCarryTheTopic) {
  Start();
  Reader reader(ZMQ_SUB, publisher_->address());
  const Frames first = Join(reader);
  const auto name = static_cast<BlockName>(first[1][7]) + 1;  // numbers begin at 0
  EXPECT_EQ(first[0], "kv@here@model");
  EXPECT_EQ(EventsOf(first[2]), EventsOf({Block(name)}));
  for (BlockName last = name; last < stored_; ++last) reader.Receive();
  BlockChanges changes;
  changes.removed = {stored_};
  changes.stored = {Block(99, 1)};
  Tell(changes);
  const Frames next = reader.Receive();
  EXPECT_EQ(next[1], Number(static_cast<uint8_t>(stored_)));
  EXPECT_EQ(EventsOf(next[2]), EventsOf({RemovedBlocks{{stored_}}, Block(99, 1)}));
}

TEST_F(PublisherTest, WhatWasPublishedBeforeAReaderCameIsReplayed) {
  held_ = {1, 2};
  Start();
  TellStored(3);
  Reader reader(ZMQ_DEALER, publisher_->replay_address());
  // The answer to a request has what was handed over before it was read.
  std::vector<Frames> answers;
  while (answers.size() < 2) answers = reader.Replay(Number(0));
  ASSERT_EQ(answers.size(), 2);
  EXPECT_EQ(answers[0][0], "kv@here@model");
  EXPECT_EQ(answers[0][1], Number(0));
  EXPECT_EQ(EventsOf(answers[0][2]), EventsOf({Block(1), Block(2)}));
  EXPECT_EQ(answers[1][1], Number(1));
  EXPECT_EQ(EventsOf(answers[1][2]), EventsOf({Block(3)}));
  EXPECT_EQ(reader.Replay(Number(1)).size(), 1);
  EXPECT_EQ(reader.Replay(Number(2)).size(), 0);
}

TEST_F(PublisherTest, WhatIsNoRequestIsPassedOver) {
  Start();
  Reader reader(ZMQ_DEALER, publisher_->replay_address());
  reader.Ask({"x"});
  reader.Ask({"", "short"});
  reader.Ask({"", Number(0), "more"});
  EXPECT_EQ(reader.Replay(Number(0)).size(), 0);
  EXPECT_FALSE(reader.AwaitMessage(100));  // one request, one end
}

TEST_F(PublisherTest, OfChangesThatWereDroppedTheDifferenceIsTold) {
  held_ = {1, 2};
  Start();
  Reader reader(ZMQ_DEALER, publisher_->replay_address());
  std::vector<Frames> answers;
  while (answers.empty()) answers = reader.Replay(Number(0));  // the first two are published
  {
    const std::scoped_lock lock(mutex_);
    held_ = {2, 7};
  }
  BlockChanges flood;
  flood.removed.resize(limits::kMaxUnpublishedBlocks + 1);
  Tell(flood);
  AwaitWatches(2);
  while (answers.size() < 2) answers = reader.Replay(Number(0));
  EXPECT_EQ(EventsOf(answers[1][2]), EventsOf({Block(7), RemovedBlocks{{1}}}));
  TellStored(8);
  while (answers.size() < 3) answers = reader.Replay(Number(0));
  EXPECT_EQ(EventsOf(answers[2][2]), EventsOf({Block(8)}));
}

TEST_F(PublisherTest, WhoComesLateGetsAWholeOfWhatThereIs) {
  Start();
  {
    const std::scoped_lock lock(mutex_);
    held_ = {5, 6};
  }
  for (size_t i = 0; i <= limits::kMaxReplayBatches / 2; ++i) TellStored(1000 + i);
  AwaitWatches(2);  // the publisher has asked for a whole
  Reader reader(ZMQ_DEALER, publisher_->replay_address());
  // More, so that the first ones are forgotten.
  for (size_t i = 0; i <= limits::kMaxReplayBatches / 2; ++i) TellStored(100'000 + i);
  std::vector<Frames> answers;
  do {
    answers = reader.Replay(Number(0));
    ASSERT_FALSE(answers.empty());
  } while (EventsOf(answers[0][2]) != EventsOf({ClearedBlocks(), Block(5), Block(6)}));
  // Numbers go on without a gap, so that what follows follows.
  for (size_t i = 1; i < answers.size(); ++i) {
    ASSERT_EQ(static_cast<uint8_t>(answers[i][1][7]),
              static_cast<uint8_t>(answers[i - 1][1][7] + 1));
  }
}

TEST_F(PublisherTest, WhatWasHandedOverIsPublishedBeforeItEnds) {
  Start();
  Reader reader(ZMQ_SUB, publisher_->address());
  Join(reader);
  for (int i = 0; i < 100; ++i) TellStored(++stored_);
  publisher_ = nullptr;
  TellStored(++stored_);  // to nobody
  EXPECT_TRUE(sinks_.empty());
  while (EventsOf(reader.Receive()[2]) != EventsOf({Block(stored_ - 1)})) {
  }
}

TEST(PublisherAddressTest, WhereNothingCanListenIsSaid) {
  const auto start = [](std::string address, std::string replay) {
    return KvEventPublisher::Start({.address = std::move(address),
                                    .replay_address = std::move(replay),
                                    .topic = {},
                                    .block_tokens = 32},
                                   [](const BlockSink&) {});
  };
  const auto first = start("tcp://127.0.0.1:0", "");
  ASSERT_TRUE(first);
  const auto taken = start("tcp://127.0.0.1:0", (*first)->address());
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().message,
            "cannot listen at " + (*first)->address() + ": Address already in use");
  for (const char* address :
       {"nonsense", "udp://1.2.3.4:5", "tcp://127.0.0.1", "tcp://nowhere.invalid:80"}) {
    const auto refused = start(address, "");
    ASSERT_FALSE(refused) << address;
    EXPECT_NE(refused.error().message.find("tcp://HOST:PORT is meant"), std::string::npos)
        << refused.error().message;
  }
}

}  // namespace
}  // namespace reprise
