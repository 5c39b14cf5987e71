#include "api/followers.h"

#include <utility>
#include <vector>

#include "api/follow_events.h"
#include "api/service.h"
#include "base/fleet_limits.h"
#include "http/as_tuple.h"

namespace reprise {
namespace asio = boost::asio;
namespace {

// What changes take while they wait.
size_t BytesOf(const BlockChanges& changes) {
  size_t bytes = sizeof changes + changes.removed.size() * sizeof(BlockName);
  for (const BlockRun& run : changes.stored) {
    bytes += sizeof run + run.blocks.size() * sizeof(BlockName);
  }
  return bytes;
}

}  // namespace

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

void Followers::TellDraining() { Tell(DrainingEvent()); }

void Followers::Stop() {
  stopped_ = true;
  pause_timer_.cancel();
  delay_timer_.cancel();
  Tell({});
}

void Followers::Tell(std::string events) {
  const auto shared = std::make_shared<const std::string>(std::move(events));
  for (Follower* follower : joined_) follower->mailbox_->Post(shared, shared->size());
}

Follower::Follower(Followers& followers, HttpConnection& connection, MemoryShare memory)
    : followers_(followers),
      connection_(connection),
      mailbox_(std::make_shared<Mailbox<Told>>(
          followers.service_.io, limits::kMaxFollowerBacklogBytes, std::move(memory))) {
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
  if (service.stopping) events += DrainingEvent();
  if (!co_await connection_.SendChunk(std::move(events))) co_return false;
  service.engine.WatchBlocks(
      BlockView::kNamesEverywhere,
      [mailbox = mailbox_](const std::shared_ptr<const BlockChanges>& changes) {
        return mailbox->Post(changes, BytesOf(*changes));
      });
  co_return true;
}

asio::awaitable<bool> Follower::Follow() {
  if (!co_await TellBeginning()) co_return false;
  if (followers_.stopped_) co_return true;
  const auto block_tokens = static_cast<size_t>(followers_.service_.engine.stats().block_tokens);
  for (;;) {
    const std::vector<Told> arrived = co_await mailbox_->Receive(std::chrono::hours(1));
    // One by one: others' turns come in between.
    for (const Told& told : arrived) {
      const auto* changes = std::get_if<std::shared_ptr<const BlockChanges>>(&told);
      std::string events =
          changes != nullptr ? BlocksEvent(**changes, block_tokens) : *std::get<0>(told);
      if (events.empty()) co_return true;
      if (!co_await connection_.SendChunk(std::move(events))) co_return false;
    }
    if (mailbox_->overflowed()) co_return false;
  }
}

}  // namespace reprise
