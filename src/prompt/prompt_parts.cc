#include "prompt/prompt_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>

#include "base/ascii.h"

namespace reprise {
namespace {

// A piece of text so short may stand anywhere by chance, so it must stand as a word of its own.
constexpr size_t kChanceBytes = 8;
// Searches may run over the prompt so many times in all; then what is left is not found.
constexpr size_t kMaxPasses = 16;

bool IsSpace(char byte) { return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r'; }
bool IsWord(char byte) { return std::isalnum(static_cast<unsigned char>(byte)) != 0; }

std::string WithoutSpace(std::string_view text) {
  std::string rest;
  rest.reserve(text.size());
  std::ranges::copy_if(text, std::back_inserter(rest), [](char byte) { return !IsSpace(byte); });
  return rest;
}

struct Range {
  size_t begin = 0;
  size_t end = 0;
};

class PartFinder {
 public:
  PartFinder(const std::vector<TokenId>& prompt, const Tokenizer& tokenizer) {
    for (const TokenId token : prompt) {
      const std::string_view piece = tokenizer.Piece(token);
      // No part's text is within a control token.
      if (tokenizer.IsControl(token)) {
        text_.append(piece.size(), '\0');
      } else {
        text_ += piece;
      }
    }
    scan_left_ = kMaxPasses * (text_.size() + 1);
  }

  std::vector<PartSpan> Find(std::span<const PromptPart> parts) {
    std::vector<PartSpan> found;
    size_t from = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      // Tools, system and messages may stand in any order, so each kind is sought from the start.
      if (i > 0 && parts[i].name.kind != parts[i - 1].name.kind) {
        from = 0;
        Claim(found);
      }
      const std::optional<Range> range = FindPart(parts[i], from);
      if (!range) continue;
      from = range->end;
      found.push_back({parts[i].name, static_cast<uint32_t>(range->begin),
                       static_cast<uint32_t>(range->end), parts[i].role});
    }
    return Ordered(std::move(found));
  }

 private:
  // Ascending and disjoint: a part that another one stands in ends there.
  static std::vector<PartSpan> Ordered(std::vector<PartSpan> found) {
    std::ranges::stable_sort(found, {}, &PartSpan::text_begin);
    for (size_t i = 1; i < found.size(); ++i) {
      found[i - 1].text_end = std::min(found[i - 1].text_end, found[i].text_begin);
    }
    return found;
  }

  // What was found so far is no other kind's.
  void Claim(const std::vector<PartSpan>& found) {
    claimed_.clear();
    for (const PartSpan& part_span : Ordered(found)) {
      claimed_.push_back({part_span.text_begin, part_span.text_end});
    }
  }

  std::optional<Range> FindPart(const PromptPart& part, size_t from) {
    std::optional<Range> whole;
    for (const PromptPart::Piece& piece : part.pieces) {
      std::optional<Range> range;
      for (size_t i = 0; i < piece.spellings.size() && !range; ++i) {
        range =
            piece.json ? FindJson(piece.spellings[i], from) : FindText(piece.spellings[i], from);
      }
      if (!range) continue;
      from = range->end;
      whole = {whole ? whole->begin : range->begin, range->end};
    }
    return whole;
  }

  // The claimed range that [begin, end) touches.
  const Range* Claimed(size_t begin, size_t end) const {
    const auto behind = std::ranges::upper_bound(claimed_, begin, {}, &Range::end);
    return behind != claimed_.end() && behind->begin < end ? &*behind : nullptr;
  }

  // std::string::find within the bounds of patience.
  size_t Seek(const std::string& text, std::string_view wanted, size_t from) {
    if (wanted.empty() || from >= text.size() || scan_left_ == 0) return std::string::npos;
    const size_t at = text.find(wanted, from);
    scan_left_ -= std::min(scan_left_, std::min(at, text.size()) - from + 1);
    return at;
  }

  std::optional<Range> FindText(std::string_view text, size_t from) {
    text = Trimmed(text);
    for (size_t at = Seek(text_, text, from); at != std::string::npos;) {
      const size_t end = at + text.size();
      const Range* claimed = Claimed(at, end);
      if (claimed == nullptr && (text.size() >= kChanceBytes || IsWholeWord(at, end))) {
        return Range{at, end};
      }
      at = Seek(text_, text, claimed != nullptr ? claimed->end : at + 1);
    }
    return std::nullopt;
  }

  bool IsWholeWord(size_t begin, size_t end) const {
    const bool runs_in = begin > 0 && IsWord(text_[begin - 1]) && IsWord(text_[begin]);
    const bool runs_on = end < text_.size() && IsWord(text_[end - 1]) && IsWord(text_[end]);
    return !runs_in && !runs_on;
  }

  std::optional<Range> FindJson(std::string_view written, size_t from) {
    if (bare_.empty()) {
      for (size_t i = 0; i < text_.size(); ++i) {
        if (IsSpace(text_[i])) continue;
        bare_ += text_[i];
        bare_at_.push_back(i);
      }
    }
    const std::string wanted = WithoutSpace(written);
    for (size_t at = Seek(bare_, wanted, BareIndex(from)); at != std::string::npos;) {
      const Range range{bare_at_[at], bare_at_[at + wanted.size() - 1] + 1};
      const Range* claimed = Claimed(range.begin, range.end);
      if (claimed == nullptr) return range;
      at = Seek(bare_, wanted, BareIndex(claimed->end));
    }
    return std::nullopt;
  }

  // The first byte of bare_ that is not before `from`.
  size_t BareIndex(size_t from) const {
    return static_cast<size_t>(std::ranges::lower_bound(bare_at_, from) - bare_at_.begin());
  }

  std::string text_;             // of the prompt; NUL for the bytes of control tokens
  std::string bare_;             // the same without white space
  std::vector<size_t> bare_at_;  // where each byte of it is in text_
  std::vector<Range> claimed_;   // ascending, disjoint
  size_t scan_left_ = 0;         // bytes
};

}  // namespace

std::string ToText(PartName name) {
  switch (name.kind) {
    case PartName::Kind::kTool:
      return fmt::format("tools[{}]", name.index);
    case PartName::Kind::kSystem:
      return "system";
    case PartName::Kind::kMessage:
      return fmt::format("messages[{}]", name.index);
    case PartName::Kind::kPrompt:
      return "prompt";
    case PartName::Kind::kEnd:
      break;
  }
  return "end";
}

PartRole RoleNamed(std::string_view role) {
  if (role == "system" || role == "developer") return PartRole::kSystem;
  if (role == "user") return PartRole::kUser;
  if (role == "assistant") return PartRole::kAssistant;
  if (role == "tool" || role == "function") return PartRole::kTool;
  return PartRole::kNone;
}

std::vector<PartSpan> LocateParts(const std::vector<TokenId>& prompt,
                                  std::span<const PromptPart> parts, const Tokenizer& tokenizer) {
  if (parts.empty()) return {};
  return PartFinder(prompt, tokenizer).Find(parts);
}

PartPlace PlaceOf(std::span<const PartSpan> part_spans, size_t at) {
  if (part_spans.empty()) return {{PartName::Kind::kPrompt, 0}, at, 0};
  const auto part = std::ranges::upper_bound(part_spans, at, {}, &PartSpan::text_end);
  if (part == part_spans.end()) {
    const size_t end = part_spans.back().text_end;
    return {{PartName::Kind::kEnd, 0}, at - end, end};
  }
  return {part->name, at - std::min<size_t>(at, part->text_begin), part->text_begin};
}

}  // namespace reprise
