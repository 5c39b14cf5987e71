#include "history/prompt_change.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "history/prompt_text.h"

namespace reprise {
namespace {

using ChangeKind = PromptChange::Kind;
using PartKind = PartName::Kind;

// Less than this is not worth a sentence: the template's words alone are the same behind any part.
constexpr size_t kWorthTokens = 16;

// Messages cut off or put in at once, beyond which nobody looks: it bounds the work.
constexpr size_t kMostShift = 256;

struct Part {
  PartName name;
  std::string_view text;
  size_t begin = 0;  // in bytes of the prompt
  size_t end() const { return begin + text.size(); }
};

struct Prompt {
  const PromptText& text;
  std::vector<Part> parts;
};

std::vector<Part> PartsOf(const PastPrompt& past, std::string_view bytes) {
  std::vector<Part> parts;
  parts.reserve(past.part_spans.size() + 1);
  for (const PartSpan& span : past.part_spans) {
    parts.push_back({span.name, bytes.substr(span.text_begin, span.text_end - span.text_begin),
                     span.text_begin});
  }
  if (parts.empty()) parts.push_back({{PartKind::kPrompt, 0}, bytes, 0});
  return parts;
}

std::vector<Part> OfKind(const Prompt& prompt, PartKind kind) {
  std::vector<Part> found;
  std::ranges::copy_if(prompt.parts, std::back_inserter(found),
                       [kind](const Part& part) { return part.name.kind == kind; });
  return found;
}

bool SameText(const Part& a, const Part& b) { return a.text == b.text; }

// All texts of `few` are among those of `many`, in their order.
bool IsWithin(const std::vector<Part>& few, const std::vector<Part>& many) {
  auto at = many.begin();
  for (const Part& part : few) {
    at = std::ranges::find(at, many.end(), part.text, &Part::text);
    if (at == many.end()) return false;
    ++at;
  }
  return true;
}

// Bytes of whole characters.
size_t CommonEnd(std::string_view a, std::string_view b) {
  const auto differ = std::mismatch(a.rbegin(), a.rend(), b.rbegin(), b.rend());
  auto same = static_cast<size_t>(differ.first - a.rbegin());
  while (same > 0 && !BeginsCharacter(a[a.size() - same])) --same;
  return same;
}

bool IsSystem(PartName name, const PastPrompt& past) {
  const auto span = std::ranges::find(past.part_spans, name, &PartSpan::name);
  return span != past.part_spans.end() && span->role == PartRole::kSystem;
}

class ChangeFinder {
 public:
  ChangeFinder(const DecodedPrompt& ours, const DecodedPrompt& theirs, const Divergence& place)
      : read_(ours.prompt.read()),
        ours_{ours.text, PartsOf(ours.prompt, ours.text.bytes)},
        theirs_{theirs.text, PartsOf(theirs.prompt, theirs.text.bytes)} {
    change_.part = PartOf(place);
    change_.in_system = IsSystem(change_.part, ours.prompt);
    change_.begin = place.at;
    DiffersToTheEnd();
  }

  PromptChange Find() {
    const bool found = change_.part.kind == PartKind::kTool ? FindInTools() : FindInTexts();
    if (!found || !IsWorthIt()) {
      // Where what differs ends is shown all the same.
      change_.kind = ChangeKind::kGoesOn;
      change_.count = 0;
      change_.moved_tokens = 0;
    }
    return change_;
  }

 private:
  bool IsWorthIt() const { return change_.moved_tokens >= kWorthTokens; }

  bool FindInTools() {
    if (FindValue() && IsWorthIt()) return true;
    DiffersToTheEnd();
    const std::vector<Part> ours = OfKind(ours_, PartKind::kTool);
    const std::vector<Part> theirs = OfKind(theirs_, PartKind::kTool);
    std::vector<std::string_view> our_texts, their_texts;
    for (const Part& part : ours) our_texts.push_back(part.text);
    for (const Part& part : theirs) their_texts.push_back(part.text);
    std::ranges::sort(our_texts);
    std::ranges::sort(their_texts);
    if (our_texts == their_texts) {
      change_.kind = ChangeKind::kToolsReordered;
    } else if (IsWithin(theirs, ours)) {
      change_.kind = ChangeKind::kToolsAdded;
      change_.count = ours.size() - theirs.size();
    } else if (IsWithin(ours, theirs)) {
      change_.kind = ChangeKind::kToolsRemoved;
      change_.count = theirs.size() - ours.size();
    } else {
      change_.kind = ChangeKind::kToolsChanged;
    }
    // Alike again from the first part that is no tool and stands behind the change.
    const auto next = [&](const Prompt& prompt) {
      return std::ranges::find_if(prompt.parts, [&](const Part& part) {
        return part.name.kind != PartKind::kTool && part.begin >= change_.begin;
      });
    };
    const auto our_next = next(ours_), their_next = next(theirs_);
    if (our_next == ours_.parts.end() || their_next == theirs_.parts.end()) return false;
    AlikeFrom(our_next->begin, their_next->begin);
    return true;
  }

  bool FindInTexts() {
    const bool found = FindValue();
    if (found && IsWorthIt()) return true;
    if (change_.part.kind == PartKind::kMessage && FindInMessages()) return true;
    return found || FindEdit();
  }

  // Where the change stands, in both.
  struct Pair {
    const Part* ours = nullptr;
    const Part* theirs = nullptr;
  };
  std::optional<Pair> PartsAtChange() const {
    const auto at = [&](const Prompt& prompt) -> const Part* {
      const auto found = std::ranges::find_if(
          prompt.parts, [&](const Part& part) { return part.name == change_.part; });
      const bool here = found != prompt.parts.end() && found->begin <= change_.begin &&
                        change_.begin <= found->end();
      return here ? &*found : nullptr;
    };
    const Pair pair{at(ours_), at(theirs_)};
    if (pair.ours == nullptr || pair.theirs == nullptr) return std::nullopt;
    if (pair.ours->begin != pair.theirs->begin) return std::nullopt;
    return pair;
  }

  void DiffersToTheEnd() {
    change_.our_end = ours_.text.bytes.size();
    change_.their_end = theirs_.text.bytes.size();
  }

  // Within a part, or in the template's words before it.
  bool FindValue() {
    const std::optional<Pair> pair = PartsAtChange();
    size_t from = 0;
    std::string_view ours = ours_.text.bytes, theirs = theirs_.text.bytes;
    if (pair) {
      from = pair->ours->begin;
      ours = pair->ours->text;
      theirs = pair->theirs->text;
    } else if (!IsInTemplate(ours_) || !IsInTemplate(theirs_)) {
      return false;
    }
    const std::optional<ChangedValue> value = FindChangedValue(ours, theirs, change_.begin - from);
    if (!value) return false;
    change_.kind = pair ? ChangeKind::kValue : ChangeKind::kTemplate;
    change_.value = value->kind;
    change_.now = ours.substr(value->begin, value->our_end - value->begin);
    change_.before = theirs.substr(value->begin, value->their_end - value->begin);
    change_.our_end = from + value->our_end;
    change_.their_end = from + value->their_end;
    AlikeFrom(change_.our_end, change_.their_end);
    EndWithTheLastDifference();
    return true;
  }

  // "14:05:10" and "14:03:10" differ in one character.
  void EndWithTheLastDifference() {
    const auto ours =
        std::string_view(ours_.text.bytes).substr(change_.begin, change_.our_end - change_.begin);
    const auto theirs = std::string_view(theirs_.text.bytes)
                            .substr(change_.begin, change_.their_end - change_.begin);
    const size_t same = CommonEnd(ours, theirs);
    change_.our_end -= same;
    change_.their_end -= same;
  }

  bool IsInTemplate(const Prompt& prompt) const {
    return std::ranges::none_of(prompt.parts, [&](const Part& part) {
      return part.begin <= change_.begin && change_.begin <= part.end();
    });
  }

  bool FindInMessages() {
    const std::vector<Part> ours = OfKind(ours_, PartKind::kMessage);
    const std::vector<Part> theirs = OfKind(theirs_, PartKind::kMessage);
    const auto first =
        static_cast<size_t>(std::ranges::mismatch(ours, theirs, SameText).in1 - ours.begin());
    if (first >= ours.size() || first >= theirs.size()) return false;
    return FindShifted(ours, theirs, first, ChangeKind::kMessagesCut) ||
           FindShifted(theirs, ours, first, ChangeKind::kMessagesPut);
  }

  // Whether `shorter` goes on at `first` with what stands further on in `longer`, to the end of one
  // of them.
  bool FindShifted(const std::vector<Part>& shorter, const std::vector<Part>& longer, size_t first,
                   ChangeKind kind) {
    for (size_t shift = 1; shift <= kMostShift && first + shift < longer.size(); ++shift) {
      const size_t both = std::min(shorter.size() - first, longer.size() - first - shift);
      const auto from = longer.begin() + static_cast<std::ptrdiff_t>(first + shift);
      if (!std::equal(from, from + static_cast<std::ptrdiff_t>(both),
                      shorter.begin() + static_cast<std::ptrdiff_t>(first), SameText)) {
        continue;
      }
      const bool cut = kind == ChangeKind::kMessagesCut;
      const Part& ours = cut ? shorter[first] : *from;
      const Part& theirs = cut ? *from : shorter[first];
      AlikeFrom(ours.begin, theirs.begin);
      if (!IsWorthIt()) return false;
      DiffersToTheEnd();
      change_.kind = kind;
      change_.count = shift;
      return true;
    }
    return false;
  }

  // The same again at the part's end, or before.
  bool FindEdit() {
    const std::optional<Pair> pair = PartsAtChange();
    if (!pair) return false;
    const size_t offset = change_.begin - pair->ours->begin;
    const std::string_view ours = pair->ours->text.substr(offset);
    const std::string_view theirs = pair->theirs->text.substr(offset);
    const size_t same = CommonEnd(ours, theirs);
    change_.kind = ChangeKind::kEdited;
    change_.our_end = pair->ours->end() - same;
    change_.their_end = pair->theirs->end() - same;
    AlikeFrom(change_.our_end, change_.their_end);
    return true;
  }

  void AlikeFrom(size_t our_at, size_t their_at) {
    const size_t common = CommonBytes(std::string_view(ours_.text.bytes).substr(our_at),
                                      std::string_view(theirs_.text.bytes).substr(their_at));
    const std::vector<uint32_t>& begins = ours_.text.token_begins;
    // The first token that begins there, and the first that ends behind what is alike.
    const auto first =
        static_cast<size_t>(std::ranges::lower_bound(begins, our_at) - begins.begin());
    const size_t end = ours_.text.TokenAt(our_at + common);
    const size_t from = std::max(first, read_);
    change_.moved_tokens = end > from ? end - from : 0;
  }

  size_t read_;
  Prompt ours_;
  Prompt theirs_;
  PromptChange change_;
};

}  // namespace

PromptChange FindChange(const DecodedPrompt& ours, const DecodedPrompt& theirs,
                        const Divergence& place) {
  return ChangeFinder(ours, theirs, place).Find();
}

}  // namespace reprise
