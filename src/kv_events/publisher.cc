#include "kv_events/publisher.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/fleet_limits.h"
#include "base/log.h"
#include "kv_events/change_queue.h"
#include "kv_events/event_batch.h"
#include "kv_events/replay_history.h"
#include "kv_events/told_blocks.h"
#include "kv_events/zmq_socket.h"

namespace reprise {
namespace {

constexpr size_t kNumberBytes = 8;

std::string BigEndian(uint64_t number) {
  std::string bytes;
  for (size_t bit = 8 * kNumberBytes; bit > 0; bit -= 8) {
    bytes += static_cast<char>((number >> (bit - 8)) & 0xff);
  }
  return bytes;
}

uint64_t FromBigEndian(std::string_view bytes) {
  uint64_t number = 0;
  for (const char byte : bytes) number = number << 8 | static_cast<unsigned char>(byte);
  return number;
}

double SecondsNow() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double>(since).count();
}

class ZmqPublisher final : public KvEventPublisher {
 public:
  ZmqPublisher(PublisherOptions options, Watch watch)
      : options_(std::move(options)),
        watch_(std::move(watch)),
        queue_(std::make_shared<ChangeQueue>(limits::kMaxUnpublishedBlocks)),
        sockets_{.publisher{context_, ZmqSocket::Kind::kPublisher},
                 .router{context_, ZmqSocket::Kind::kRouter}} {}

  ~ZmqPublisher() override {
    queue_->Close();
    if (thread_.joinable()) thread_.join();
  }

  Status Listen() {
    auto bound = sockets_.publisher.Listen(options_.address);
    if (!bound) return std::unexpected(bound.error());
    options_.address = *std::move(bound);
    if (options_.replay_address.empty()) return {};
    bound = sockets_.router.Listen(options_.replay_address);
    if (!bound) return std::unexpected(bound.error());
    options_.replay_address = *std::move(bound);
    return {};
  }

  void Run() {
    thread_ = std::thread([this] { Publish(); });
  }

  const std::string& address() const override { return options_.address; }
  const std::string& replay_address() const override { return options_.replay_address; }

 private:
  struct Sockets {
    ZmqSocket publisher, router;
  };

  // The rest runs on the publisher's thread.

  void Publish() {
    watch_number_ = queue_->watch();
    WatchFor(ChangeQueue::Purpose::kPublish);
    for (;;) {
      AwaitAny({&sockets_.router}, queue_->descriptor());
      ChangeQueue::Taken taken = queue_->Take();
      if (taken.dropped && !taken.closed) WatchAnew();
      for (const ChangeQueue::Entry& entry : taken.entries) Handle(entry);
      if (taken.closed) return;
      AnswerRequests();
    }
  }

  // Once for all changes from now on; for a whole until its snapshot has ended.
  void WatchFor(ChangeQueue::Purpose purpose) {
    watch_([queue = queue_, watch = watch_number_,
            purpose](const std::shared_ptr<const BlockChanges>& changes) {
      const bool wanted = purpose == ChangeQueue::Purpose::kPublish || !changes->ends;
      return queue->Push(watch, {purpose, changes}) && wanted;
    });
  }

  void WatchAnew() {
    LogWarning("more blocks came and went than could be published: what differs is told anew");
    whole_.clear();
    whole_is_made_ = false;
    watch_number_ = queue_->watch();
    WatchFor(ChangeQueue::Purpose::kPublish);
  }

  void Handle(const ChangeQueue::Entry& entry) {
    if (entry.purpose == ChangeQueue::Purpose::kWhole) {
      AddToWhole(*entry.changes);
      return;
    }
    const std::vector<KvEvent> events = told_.Apply(*entry.changes);
    if (events.empty()) return;
    const ReplayedBatch batch = history_.Add(Encode(events));
    Send(sockets_.publisher, options_.topic, batch);
    if (options_.replay_address.empty() || whole_is_made_ || !history_.Older()) return;
    whole_is_made_ = true;
    WatchFor(ChangeQueue::Purpose::kWhole);
  }

  // A batch for each part. There are numbers for all of them: each block that is held was in a
  // batch before, and none has more of them than a part.
  void AddToWhole(const BlockChanges& part) {
    std::vector<KvEvent> events;
    if (part.begins) {
      whole_.clear();
      events.emplace_back(ClearedBlocks());
    }
    events.insert(events.end(), part.stored.begin(), part.stored.end());
    whole_.push_back(Encode(events));
    if (!part.ends) return;
    history_.SetWhole(std::exchange(whole_, {}));
    whole_is_made_ = false;
  }

  std::string Encode(std::span<const KvEvent> events) const {
    return EncodeBatch(SecondsNow(), events, options_.block_tokens, options_.encoding);
  }

  static bool Send(ZmqSocket& socket, std::string_view topic, const ReplayedBatch& batch) {
    using More = ZmqSocket::More;
    return socket.Send(topic, More::kYes) && socket.Send(BigEndian(batch.number), More::kYes) &&
           socket.Send(batch.payload, More::kNo);
  }

  void AnswerRequests() {
    for (int i = 0; i < limits::kMaxReplayRequestsAtOnce; ++i) {
      const std::vector<std::string> request = sockets_.router.Receive();
      if (request.empty()) return;
      if (request.size() != 3 || !request[1].empty() || request[2].size() != kNumberBytes) continue;
      Answer(request[0], FromBigEndian(request[2]));
    }
  }

  // Cut where the reader does not read: without an end it asks again.
  void Answer(const std::string& reader, uint64_t start) {
    using More = ZmqSocket::More;
    ZmqSocket& router = sockets_.router;
    bool taken = true;
    history_.ForEachFrom(start, [&](const ReplayedBatch& batch) {
      taken = router.Send(reader, More::kYes) && router.Send("", More::kYes) &&
              Send(router, options_.topic, batch);
      return taken;
    });
    if (!taken) return;
    const std::string end(kNumberBytes, '\xff');
    if (router.Send(reader, More::kYes) && router.Send("", More::kYes) &&
        router.Send("", More::kYes) && router.Send(end, More::kYes)) {
      router.Send("", More::kNo);
    }
  }

  PublisherOptions options_;
  const Watch watch_;
  const std::shared_ptr<ChangeQueue> queue_;  // sinks may outlive the publisher
  const ZmqContext context_;
  Sockets sockets_;
  uint64_t watch_number_ = 0;  // of the sinks that count
  ToldBlocks told_;
  ReplayHistory history_{limits::kMaxReplayBatches, limits::kMaxReplayBytes};
  std::vector<std::string> whole_;  // its parts so far
  bool whole_is_made_ = false;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<KvEventPublisher>> KvEventPublisher::Start(PublisherOptions options,
                                                                  Watch watch) {
  auto publisher = std::make_unique<ZmqPublisher>(std::move(options), std::move(watch));
  if (Status listening = publisher->Listen(); !listening) {
    return std::unexpected(listening.error());
  }
  publisher->Run();
  return publisher;
}

}  // namespace reprise
