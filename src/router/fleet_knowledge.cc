#include "router/fleet_knowledge.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace reprise {
namespace {

constexpr size_t kPaces = 32;          // answers that a guess of an engine's pace looks at
constexpr size_t kFewTokens = 64;      // too few to tell it
constexpr size_t kLeastPieces = 1024;  // of texts, that one engine is taken to hold at most

// Of answers: what is computed besides, and what waits, only makes them slower.
double FastOf(std::deque<double> paces) {
  if (paces.empty()) return 0;
  const auto quarter = paces.begin() + static_cast<std::ptrdiff_t>(paces.size() / 4);
  std::ranges::nth_element(paces, quarter);
  return *quarter;
}

}  // namespace

FleetKnowledge::FleetKnowledge(boost::asio::any_io_executor io, Options options)
    : io_(std::move(io)),
      options_(std::move(options)),
      holdings_(options_.max_blocks),
      watches_(limits::kMaxReplicas) {
  if (options_.reader != nullptr) {
    lore_.emplace(ReplicaLore{.holdings = holdings_, .reader = *options_.reader, .terms = {}});
  } else {
    texts_.emplace(holdings_, std::max(kLeastPieces, options_.max_blocks / limits::kMaxReplicas));
  }
}

FleetKnowledge::~FleetKnowledge() = default;

void FleetKnowledge::Follow(const std::shared_ptr<ReplicaLink>& link) {
  if (!lore_) return;
  auto& watch = watches_[link->replica.index];
  watch = std::make_shared<ReplicaWatch>(io_, link, *lore_, options_.fleet_token, options_.silence);
  watch->Start();
}

void FleetKnowledge::Forget(Replica& replica) {
  if (auto watch = std::exchange(watches_[replica.index], nullptr)) watch->Stop();
  responses_.Forget(replica.index);
  unanswered_seconds_[replica.index] = 0;
  if (texts_) texts_->Forget(replica.index);
  for (size_t level = 0; level < kLevelNames.size(); ++level) {
    holdings_.Clear(replica.index, static_cast<Level>(level));
  }
  holdings_.SetSharing(replica.index, false);
}

void FleetKnowledge::NoteHealth(Replica& replica) {
  if (texts_ && replica.health == Replica::Health::kDead) texts_->Forget(replica.index);
}

void FleetKnowledge::Stop() {
  for (const std::shared_ptr<ReplicaWatch>& watch : watches_) {
    if (watch != nullptr) watch->Stop();
  }
}

std::vector<ChainBasis> FleetKnowledge::Bases() const {
  std::vector<ChainBasis> bases;
  for (const std::shared_ptr<ReplicaWatch>& watch : watches_) {
    if (watch == nullptr || !watch->events().basis()) continue;
    const ChainBasis& basis = *watch->events().basis();
    if (std::ranges::find(bases, basis) == bases.end()) bases.push_back(basis);
  }
  return bases;
}

std::function<Result<RoutedPrompt>()> FleetKnowledge::Reading(const WireEndpoint& endpoint,
                                                              std::string body,
                                                              std::string tenant) const {
  if (approximate()) {
    return [&endpoint, body = std::move(body), tenant = std::move(tenant)] {
      return ReadTextPrompt(endpoint, body, tenant);
    };
  }
  return [&endpoint, reader = options_.reader, bases = Bases(), body = std::move(body),
          tenant = std::move(tenant)] { return reader->Read(endpoint, body, tenant, bases); };
}

void FleetKnowledge::Find(const RoutedPrompt& prompt, std::span<Reach> reach) const {
  std::ranges::fill(reach, Reach{});
  // Names of different bases differ, so a replica holds those of its own only.
  std::vector<Reach> found(reach.size());
  for (const RoutedPrompt::Chain& chain : prompt.chains) {
    holdings_.Find(chain.names, found);
    for (size_t i = 0; i < reach.size(); ++i) {
      if (found[i].loadable_blocks > reach[i].loadable_blocks) reach[i] = found[i];
    }
  }
}

PromptShape FleetKnowledge::ShapeOf(const RoutedPrompt& prompt) const {
  PromptShape shape{.tokens = prompt.token_count};
  if (prompt.chains.empty()) return shape;
  const RoutedPrompt::Chain& chain = prompt.chains.front();
  shape.block_tokens = chain.basis.block_tokens;
  shape.marked_blocks =
      std::min(prompt.marked_tokens / chain.basis.block_tokens, chain.names.size());
  if (!chain.names.empty()) shape.tie = chain.names.back();
  return shape;
}

void FleetKnowledge::EstimateLoad(Replica& replica, TimePoint now) {
  if (replica.told.followed) return;
  if (approximate()) replica.told.load.seconds_per_token = FastOf(paces_);
  replica.told.load.ahead_seconds = unanswered_seconds_[replica.index];
  replica.told.load.told = now;
}

const std::vector<BlockName>& FleetKnowledge::ChainAt(size_t replica,
                                                      const RoutedPrompt& prompt) const {
  static const std::vector<BlockName> kNone;
  if (texts_) return prompt.chains.empty() ? kNone : prompt.chains.front().names;
  if (replica >= watches_.size() || watches_[replica] == nullptr) return kNone;
  const std::optional<ChainBasis>& basis = watches_[replica]->events().basis();
  for (const RoutedPrompt::Chain& chain : prompt.chains) {
    if (basis && chain.basis == *basis) return chain.names;
  }
  return kNone;
}

PromptTurn::PromptTurn(FleetKnowledge& knowledge, Replica& replica,
                       std::shared_ptr<const RoutedPrompt> prompt, const Decision& decision,
                       const Reach& reach)
    : knowledge_(knowledge),
      replica_(replica),
      prompt_(std::move(prompt)),
      expected_work_seconds_(decision.work_seconds),
      expected_read_tokens_(decision.expected_read_tokens),
      reach_(reach),
      sent_(std::chrono::steady_clock::now()) {
  knowledge_.unanswered_seconds_[replica_.index] += expected_work_seconds_;
  const std::vector<BlockName>& chain = knowledge_.ChainAt(replica_.index, *prompt_);
  const size_t held = std::min<size_t>(reach_.memory_blocks, chain.size());
  coming_.assign(chain.begin() + static_cast<ptrdiff_t>(held), chain.end());
  for (const BlockName name : coming_) {
    knowledge_.holdings_.Store(replica_.index, Level::kComing, name);
  }
}

PromptTurn::~PromptTurn() {
  Answered();
  ForgetComing();
}

void PromptTurn::ForgetComing() {
  for (const BlockName name : std::exchange(coming_, {})) {
    knowledge_.holdings_.Remove(replica_.index, Level::kComing, name);
  }
}

void PromptTurn::Answered() {
  if (!std::exchange(awaited_, false)) return;
  double& left = knowledge_.unanswered_seconds_[replica_.index];
  left = std::max(0.0, left - expected_work_seconds_);
}

void PromptTurn::Begin(const ReplyHead& head) {
  Answered();
  if (head.status != 200) return ForgetComing();
  answered_ = true;
  says_reading_ = !head.Field("x-reprise-cache").empty();
  const std::string_view stored = head.Field(kStoredResponseField);
  if (!stored.empty()) knowledge_.responses_.Note(std::string(stored), replica_.index);
  if (!knowledge_.texts_ || prompt_->chains.empty()) return;
  knowledge_.texts_->NoteAnswered(replica_.index, prompt_->chains.front().names);
  const size_t all = prompt_->token_count;
  const size_t computed = all - std::min(expected_read_tokens_, all);
  if (computed < kFewTokens) return;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - sent_;
  std::deque<double>& paces = knowledge_.paces_;
  paces.push_back(took.count() / static_cast<double>(computed));
  if (paces.size() > kPaces) paces.pop_front();
}

void PromptTurn::Put(std::string_view bytes) {
  if (answered_ && !says_reading_) usage_.Put(bytes);
}

void PromptTurn::End() {
  if (!answered_ || !usage_.usage() || !knowledge_.texts_ || prompt_->chains.empty()) return;
  knowledge_.texts_->NoteUsage(replica_.index, prompt_->chains.front().names, reach_.memory_blocks,
                               *usage_.usage());
}

}  // namespace reprise
