#include "prompt/reply_memory.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/ascii.h"
#include "prompt/text_at.h"

namespace reprise {
namespace json = boost::json;
namespace {

size_t BytesOf(const WrittenReply& reply) {
  constexpr size_t kEntryBytes = 256;  // about, with its place in the index
  size_t bytes = kEntryBytes + reply.text.size() + reply.thinking.size() + reply.written.size();
  for (const WrittenReply::Call& call : reply.calls) {
    bytes += kEntryBytes + call.id.size() + call.name.size();
  }
  return bytes + reply.written.size();  // the arguments, about
}

// The function of a call in a message; nullptr: none.
json::object* FunctionOf(json::value& call) {
  json::object* object = call.if_object();
  json::value* function = object != nullptr ? object->if_contains("function") : nullptr;
  return function != nullptr ? function->if_object() : nullptr;
}

// Whether the call is one of the reply's; then its arguments become what was written.
bool RestoreCall(const WrittenReply& reply, json::value& value) {
  json::object* function = FunctionOf(value);
  if (function == nullptr) return false;
  const std::string_view id = TextAt(value.get_object(), "id");
  const auto call = std::ranges::find(reply.calls, id, &WrittenReply::Call::id);
  if (call == reply.calls.end() || call->name != TextAt(*function, "name")) return false;
  json::value* arguments = function->if_contains("arguments");
  if (arguments == nullptr || !MeansTheSame(*arguments, call->arguments)) return false;
  *arguments = call->arguments;
  return true;
}

// True: the whole message is what was written.
bool RestoreMessage(const WrittenReply& reply, json::object& message, json::array& calls) {
  bool same = calls.size() == reply.calls.size();
  for (size_t i = 0; i < calls.size(); ++i) {
    const bool restored = RestoreCall(reply, calls[i]);
    same = same && restored && reply.calls[i].id == TextAt(calls[i].get_object(), "id");
  }
  const bool has_thinking = !TextAt(message, "reasoning_content").empty();
  if (same && !reply.thinking.empty() && !has_thinking) {
    message["reasoning_content"] = reply.thinking;
  }
  return same && Trimmed(TextAt(message, "content")) == Trimmed(reply.text);
}

}  // namespace

void ReplyMemory::ForgetOldest(Tenant& tenant) {
  const Entry oldest = std::move(tenant.entries.front());
  tenant.entries.pop_front();
  for (const WrittenReply::Call& call : oldest.reply->calls) tenant.by_id.erase(call.id);
  tenant.bytes -= oldest.bytes;
  bytes_ -= oldest.bytes;
}

void ReplyMemory::Remember(const std::string& tenant, WrittenReply reply) {
  const size_t bytes = BytesOf(reply);
  if (bytes > max_bytes_) return;
  const auto kept = std::make_shared<const WrittenReply>(std::move(reply));
  const std::lock_guard lock(mutex_);
  Tenant& mine = tenants_[tenant];
  mine.entries.push_back({kept, bytes});
  for (const WrittenReply::Call& call : kept->calls) mine.by_id[call.id] = kept;
  mine.bytes += bytes;
  bytes_ += bytes;
  while (bytes_ > max_bytes_) {
    const auto most = std::ranges::max_element(
        tenants_, {}, [](const auto& entry) { return entry.second.bytes; });
    ForgetOldest(most->second);
  }
}

std::shared_ptr<const WrittenReply> ReplyMemory::Find(const std::string& tenant,
                                                      std::string_view id) const {
  const std::lock_guard lock(mutex_);
  const auto mine = tenants_.find(tenant);
  if (mine == tenants_.end()) return nullptr;
  const auto found = mine->second.by_id.find(std::string(id));
  return found == mine->second.by_id.end() ? nullptr : found->second;
}

std::vector<std::pair<std::string, std::shared_ptr<const WrittenReply>>> ReplyMemory::All() const {
  std::vector<std::pair<std::string, std::shared_ptr<const WrittenReply>>> all;
  const std::lock_guard lock(mutex_);
  for (const auto& [name, tenant] : tenants_) {
    for (const Entry& entry : tenant.entries) all.emplace_back(name, entry.reply);
  }
  return all;
}

bool MeansTheSame(const json::value& a, const json::value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_double() || b.is_double()) return a.to_number<double>() == b.to_number<double>();
    return a == b;
  }
  if (a.kind() != b.kind()) return false;
  if (a.is_array()) {
    return std::ranges::equal(a.get_array(), b.get_array(), MeansTheSame);
  }
  if (!a.is_object()) return a == b;
  if (a.get_object().size() != b.get_object().size()) return false;
  return std::ranges::all_of(a.get_object(), [&](const auto& entry) {
    const json::value* other = b.get_object().if_contains(entry.key());
    return other != nullptr && MeansTheSame(entry.value(), *other);
  });
}

std::vector<RestoredReply> RestoreReplies(const ReplyMemory& memory, const std::string& tenant,
                                          json::array& messages) {
  std::vector<RestoredReply> restored;
  for (size_t i = 0; i < messages.size(); ++i) {
    json::object& message = messages[i].as_object();
    json::value* value = message.if_contains("tool_calls");
    json::array* calls = value != nullptr ? value->if_array() : nullptr;
    if (calls == nullptr || calls->empty() || !calls->front().is_object()) continue;
    const auto reply = memory.Find(tenant, TextAt(calls->front().get_object(), "id"));
    if (reply != nullptr && RestoreMessage(*reply, message, *calls)) restored.push_back({i, reply});
  }
  return restored;
}

}  // namespace reprise
