#include "router/text_prefixes.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cstring>
#include <span>
#include <utility>

#include "base/sha256.h"
#include "vendor/json_reader.h"

namespace reprise {
namespace json = boost::json;
namespace {

constexpr size_t kBytesPerToken = 4;  // of English text and code, about

// What has a say in a prompt, in the order in which templates write it: tools and system text
// before messages.
constexpr std::array<std::string_view, 9> kPromptFields = {
    "tools",    "functions", "system", "instructions", "chat_template_kwargs",
    "messages", "input",     "prompt", "suffix"};

// Marks of what is to be kept move from turn to turn, and are no part of a prompt.
bool IsMark(std::string_view key) {
  return key == "cache_control" || key == "prompt_cache_breakpoint";
}

class PlainText {
 public:
  // A value as text: the same for the same prompt, whether a text is given as a string or in parts.
  void Add(const json::value& value) {
    if (value.is_string()) {
      text_ += std::string_view(value.get_string());
    } else if (value.is_array()) {
      for (const json::value& each : value.get_array()) Add(each);
    } else if (value.is_object()) {
      AddObject(value.get_object());
    } else if (!value.is_null()) {
      text_ += json::serialize(value);
      text_ += ' ';
    }
  }

  void AddName(std::string_view name) {
    text_ += '\0';
    text_ += name;
    text_ += '\0';
  }

  const std::string& text() const { return text_; }

 private:
  void AddObject(const json::object& object) {
    const json::value* type = object.if_contains("type");
    const json::value* part = object.if_contains("text");
    if (type != nullptr && part != nullptr && part->is_string()) return Add(*part);
    for (const auto& [key, value] : object) {
      if (IsMark(key)) continue;
      AddName(key);
      Add(value);
    }
  }

  std::string text_;
};

// Each piece's name: of all text up to its end.
std::vector<BlockName> NamesOf(std::string_view text, const Sha256& root) {
  std::vector<BlockName> names;
  names.reserve(text.size() / limits::kTextPieceBytes);
  Sha256 before = root;
  for (; text.size() >= limits::kTextPieceBytes; text.remove_prefix(limits::kTextPieceBytes)) {
    const std::string_view piece = text.substr(0, limits::kTextPieceBytes);
    before = Sha256Hasher().Add(before).Add(std::as_bytes(std::span(piece))).Finish();
    BlockName name = 0;
    std::memcpy(&name, before.bytes.data(), sizeof name);
    names.push_back(name);
  }
  return names;
}

}  // namespace

Result<RoutedPrompt> ReadTextPrompt(const WireEndpoint& endpoint, std::string_view body,
                                    const std::string& tenant) {
  RoutedPrompt prompt;
  prompt.previous_response = PreviousResponseOf(endpoint, body);
  if (prompt.previous_response) return prompt;
  const auto object = ParseJsonObject(body);
  if (!object) return std::unexpected(object.error());
  PlainText text;
  for (const std::string_view field : kPromptFields) {
    const json::value* value = object->if_contains(field);
    if (value == nullptr || value->is_null()) continue;
    // A system text is the same wherever the vendor has it.
    if (field != "messages" && field != "input" && field != "prompt") text.AddName(field);
    text.Add(*value);
  }
  const json::value* model = object->if_contains("model");
  const std::string_view name =
      model != nullptr && model->is_string() ? std::string_view(model->get_string()) : "";
  const Sha256 root = Sha256Hasher().Add("prefixes of texts").Add(tenant).Add(name).Finish();
  prompt.scope = tenant;
  prompt.token_count = text.text().size() / kBytesPerToken;
  prompt.chains.push_back(
      {{root, limits::kTextPieceBytes / kBytesPerToken}, NamesOf(text.text(), root)});
  return prompt;
}

TextPrefixes::TextPrefixes(Holdings& holdings, size_t max_pieces)
    : holdings_(holdings), max_pieces_(max_pieces), replicas_(limits::kMaxReplicas) {}

void TextPrefixes::DropOldest(size_t replica) {
  Recency& recency = replicas_[replica];
  const BlockName name = recency.order.front().name;
  holdings_.Remove(replica, Level::kMemory, name);
  recency.at.erase(name);
  recency.order.pop_front();
}

void TextPrefixes::NoteAnswered(size_t replica, const std::vector<BlockName>& chain) {
  Recency& recency = replicas_[replica];
  ++uses_;
  // The end of a prompt is dropped before its beginning.
  for (size_t i = chain.size(); i-- > 0;) {
    const auto [found, fresh] = recency.at.try_emplace(chain[i]);
    if (fresh) {
      found->second = recency.order.insert(recency.order.end(), {.name = chain[i]});
      holdings_.Store(replica, Level::kMemory, chain[i]);
    } else {
      recency.order.splice(recency.order.end(), recency.order, found->second);
    }
    Piece& piece = *found->second;
    piece.before = std::exchange(piece.used, uses_);
  }
  while (recency.order.size() > max_pieces_) DropOldest(replica);
}

void TextPrefixes::NoteUsage(size_t replica, const std::vector<BlockName>& chain, size_t reach,
                             const PromptUsage& usage) {
  if (!usage.cached_tokens || usage.prompt_tokens == 0) return;
  const size_t read = *usage.cached_tokens * chain.size() / usage.prompt_tokens;
  // Tokens are not spread evenly over a text, and engines read whole blocks.
  if (read + 1 >= reach - reach / 4) return;
  Recency& recency = replicas_[replica];
  uint64_t gone = 0;
  for (size_t i = read; i < std::min(reach, chain.size()); ++i) {
    const auto found = recency.at.find(chain[i]);
    if (found != recency.at.end()) gone = std::max(gone, found->second->before);
  }
  while (!recency.order.empty() && recency.order.front().used <= gone) DropOldest(replica);
}

void TextPrefixes::Forget(size_t replica) {
  replicas_[replica] = {};
  holdings_.Clear(replica, Level::kMemory);
}

}  // namespace reprise
