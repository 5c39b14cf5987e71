#include "api/followers.h"

#include <utility>
#include <vector>

#include "api/follow_events.h"
#include "api/service.h"
#include "base/fleet_limits.h"
#include "http/as_tuple.h"

namespace reprise {
namespace asio = boost::asio;

Followers::Followers(Service& service, asio::any_io_executor io)
    : service_(service), pause_timer_(io), delay_timer_(io), process_(Service::NextRandom()) {}

asio::awaitable<void> Followers::Run() {
  while (!stopped_) {
    pause_timer_.expires_after(std::chrono::milliseconds(limits::kLoadPauseMs));
    const auto [cancelled] = co_await pause_timer_.async_wait(kAsTuple);
    if (!cancelled) TellLoad();
  }
}

void Followers::NoteLoad() {
  if (joined_.empty() || stopped_ || std::exchange(load_noted_, true)) return;
  delay_timer_.expires_after(std::chrono::milliseconds(limits::kLoadDelayMs));
  delay_timer_.async_wait([this](const boost::system::error_code& cancelled) {
    load_noted_ = false;
    if (!cancelled) TellLoad();
  });
}

void Followers::TellLoad() {
  if (!joined_.empty()) Tell(LoadEvent(service_.engine.stats()));
}

void Followers::TellReply(const std::string& tenant, const WrittenReply& reply) {
  if (!joined_.empty()) Tell(ReplyEvent(tenant, reply));
}

void Followers::TellDraining() {
  draining_ = true;
  Tell(DrainingEvent());
}

void Followers::Stop() {
  stopped_ = true;
  pause_timer_.cancel();
  delay_timer_.cancel();
  Tell({});
}

void Followers::Tell(const std::string& events) {
  for (Follower* follower : joined_) follower->mailbox_->Post(events, events.size());
}

Follower::Follower(Followers& followers, HttpConnection& connection)
    : followers_(followers),
      connection_(connection),
      mailbox_(std::make_shared<Events>(followers.service_.io, limits::kMaxFollowerBacklogBytes)) {
  ++followers_.following_;
  mailbox_->OnOverflow([this] { connection_.Close(); });
}

Follower::~Follower() {
  mailbox_->Close();
  --followers_.following_;
  followers_.joined_.erase(this);
}

// Who the server is, and what it remembers of replies; then blocks and all the rest are on their
// way.
asio::awaitable<bool> Follower::TellBeginning() {
  const Service& service = followers_.service_;
  if (!co_await connection_.SendChunk(HelloEvent(service, followers_.process_))) co_return false;
  followers_.joined_.insert(this);
  for (const auto& [tenant, reply] : service.model.replies->All()) {
    if (!co_await connection_.SendChunk(ReplyEvent(tenant, *reply))) co_return false;
  }
  std::string events = LoadEvent(service.engine.stats());
  if (followers_.draining_) events += DrainingEvent();
  if (!co_await connection_.SendChunk(std::move(events))) co_return false;
  service.engine.WatchBlocks(
      [mailbox = mailbox_, block_tokens = service.engine.stats().block_tokens](
          const std::shared_ptr<const BlockChanges>& changes) {
        std::string event = BlocksEvent(*changes, static_cast<size_t>(block_tokens));
        const size_t bytes = event.size();
        mailbox->Post(std::move(event), bytes);
        return mailbox->open();
      });
  co_return true;
}

asio::awaitable<bool> Follower::Follow() {
  if (!co_await TellBeginning()) co_return false;
  if (followers_.stopped_) co_return true;
  for (;;) {
    std::vector<std::string> arrived = co_await mailbox_->Receive(std::chrono::hours(1));
    // One by one: others' turns come in between.
    for (std::string& events : arrived) {
      if (events.empty()) co_return true;
      if (!co_await connection_.SendChunk(std::move(events))) co_return false;
    }
    if (mailbox_->overflowed()) co_return false;
  }
}

}  // namespace reprise
