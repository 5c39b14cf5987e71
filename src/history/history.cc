#include "history/history.h"

#include <algorithm>
#include <utility>

namespace reprise {

Usage PastPrompt::usage() const {
  if (!started) return {};
  return ComputeUsage(started->prompt_tokens, started->cached_tokens, started->breakpoints);
}

Usage PastRequest::usage() const {
  Usage sum;
  for (const PastPrompt& prompt : prompts) {
    const Usage one = prompt.usage();
    sum.total += one.total;
    sum.read += one.read;
    sum.write_short += one.write_short;
    sum.write_long += one.write_long;
  }
  return sum;
}

double PastRequest::saved_seconds() const {
  double sum = 0;
  for (const PastPrompt& prompt : prompts)
    sum += prompt.started ? prompt.started->saved_seconds : 0;
  return sum;
}

// The constant stands for the request itself, its entries in the indexes and what is noted later.
size_t History::BytesOf(const PastRequest& request) {
  constexpr size_t kOverhead = 1024;
  size_t bytes = kOverhead + request.model_name.size() + request.tenant.size() +
                 request.cache_key.size() + request.fingerprint.messages.size() * sizeof(uint64_t);
  for (const PastPrompt& prompt : request.prompts) {
    bytes += sizeof(PastPrompt) + prompt.tokens.size() * sizeof(TokenId) +
             prompt.part_spans.size() * sizeof(PartSpan) + prompt.marks.size() * sizeof(Breakpoint);
  }
  return bytes;
}

uint64_t History::Begin(PastRequest request) {
  const uint64_t number = ++last_number_;
  if (requests_per_tenant_ == 0) return number;
  request.number = number;
  const size_t bytes = BytesOf(request);
  by_id_[request.request_id] = number;
  by_id_[request.reply_id] = number;
  OfTenant& tenant = tenants_[request.tenant];
  tenant.numbers.push_back(number);
  tenant.bytes += bytes;
  bytes_ += bytes;
  const std::string newest = request.tenant;
  requests_.emplace(number, std::move(request));
  Bound(newest);
  return number;
}

void History::Bound(const std::string& newest) {
  if (tenants_.at(newest).numbers.size() > requests_per_tenant_) Drop(newest);
  while (bytes_ > max_bytes_) {
    const auto most = std::ranges::max_element(
        tenants_, {}, [](const auto& tenant) { return tenant.second.bytes; });
    Drop(std::string(most->first));
  }
}

void History::Drop(const std::string& tenant) {
  const auto of_tenant = tenants_.find(tenant);
  const auto oldest = requests_.find(of_tenant->second.numbers.front());
  const PastRequest& request = oldest->second;
  by_id_.erase(request.request_id);
  by_id_.erase(request.reply_id);
  for (const PastPrompt& prompt : request.prompts) {
    for (const SequenceId sequence : prompt.sequences) by_sequence_.erase(sequence);
  }
  const size_t bytes = BytesOf(request);
  bytes_ -= bytes;
  of_tenant->second.bytes -= bytes;
  of_tenant->second.numbers.pop_front();
  if (of_tenant->second.numbers.empty()) tenants_.erase(of_tenant);
  requests_.erase(oldest);
}

PastRequest* History::Mutable(uint64_t number) {
  const auto found = requests_.find(number);
  return found == requests_.end() ? nullptr : &found->second;
}

PastPrompt* History::MutablePrompt(uint64_t number, size_t prompt) {
  PastRequest* request = Mutable(number);
  return request == nullptr ? nullptr : &request->prompts.at(prompt);
}

void History::NoteSubmitted(uint64_t number, size_t prompt, SequenceId sequence) {
  PastPrompt* past = MutablePrompt(number, prompt);
  if (past == nullptr) return;
  past->sequences.push_back(sequence);
  by_sequence_[sequence] = number;
}

void History::NoteStarted(uint64_t number, size_t prompt, const StartedEvent& event, WallTime now) {
  PastPrompt* past = MutablePrompt(number, prompt);
  if (past == nullptr || past->started) return;
  past->started = event;
  past->looked_up = now;
  Mutable(number)->state = PastRequest::State::kComputing;
}

void History::NoteReason(uint64_t number, size_t prompt, const NotedReason& reason) {
  if (PastPrompt* past = MutablePrompt(number, prompt)) past->reason = reason;
}

void History::NoteComputed(uint64_t number, size_t prompt, WallTime now) {
  PastPrompt* past = MutablePrompt(number, prompt);
  if (past != nullptr && !past->computed) past->computed = now;
}

void History::NoteFirstText(uint64_t number, double ms) {
  if (PastRequest* request = Mutable(number)) request->first_token_ms = ms;
}

void History::NoteEnd(uint64_t number, PastRequest::State state) {
  if (PastRequest* request = Mutable(number)) request->state = state;
}

const PastRequest* History::Find(uint64_t number) const {
  const auto found = requests_.find(number);
  return found == requests_.end() ? nullptr : &found->second;
}

const PastRequest* History::Find(std::string_view id) const {
  const auto found = by_id_.find(std::string(id));
  return found == by_id_.end() ? nullptr : Find(found->second);
}

const PastRequest* History::FindSequence(SequenceId sequence) const {
  const auto found = by_sequence_.find(sequence);
  return found == by_sequence_.end() ? nullptr : Find(found->second);
}

}  // namespace reprise
