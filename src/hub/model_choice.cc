#include "hub/model_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "base/ascii.h"

namespace reprise {
namespace {

constexpr size_t kShownCandidates = 40;
constexpr std::string_view kPreferred[] = {"q4_k_m", "q4_0", "q8_0"};

std::string_view FileName(std::string_view path) { return path.substr(path.rfind('/') + 1); }

bool IsSideFile(std::string_view path) {
  const std::string name = Lowercase(FileName(path));
  return name.find("mmproj") != name.npos || name.find("imatrix") != name.npos;
}

// Of NAME-00002-of-00003.gguf.
struct PartName {
  std::string_view stem;  // NAME
  int number;
  int count;
};

std::optional<PartName> PartNameOf(std::string_view path) {
  constexpr std::string_view kForm = "-00001-of-00003.gguf";
  if (path.size() <= kForm.size()) return std::nullopt;
  const std::string_view end = path.substr(path.size() - kForm.size());
  PartName name = {.stem = path.substr(0, path.size() - kForm.size()), .number = 0, .count = 0};
  for (size_t i = 0; i < kForm.size(); ++i) {
    const bool digit = kForm[i] >= '0' && kForm[i] <= '9';
    if (!digit && end[i] != kForm[i]) return std::nullopt;
    if (digit && !(end[i] >= '0' && end[i] <= '9')) return std::nullopt;
    int& value = i < 6 ? name.number : name.count;
    if (digit) value = 10 * value + (end[i] - '0');
  }
  return name;
}

// A model that may be meant: a file, or what there is of a split one.
struct Candidate {
  std::vector<RepoFile> parts;
  int missing = 0;  // the first part that is not there; 0: all are
  int count = 1;

  uint64_t bytes() const {
    uint64_t sum = 0;
    for (const RepoFile& part : parts) sum += part.bytes;
    return sum;
  }
  const std::string& path() const { return parts.front().path; }
};

std::vector<Candidate> Candidates(const std::vector<RepoFile>& files) {
  std::vector<Candidate> candidates;
  std::map<std::pair<std::string_view, int>, std::map<int, RepoFile>> split;
  for (const RepoFile& file : files) {
    if (!Lowercase(file.path).ends_with(".gguf") || IsSideFile(file.path)) continue;
    const std::optional<PartName> part = PartNameOf(file.path);
    if (!part) {
      candidates.push_back({.parts = {file}});
    } else if (part->number >= 1 && part->number <= part->count) {
      split[{part->stem, part->count}].emplace(part->number, file);
    }
  }
  for (auto& [name, numbered] : split) {
    Candidate candidate{.parts = {}, .missing = 0, .count = name.second};
    for (auto& [number, file] : numbered) {
      if (candidate.missing == 0 && number != static_cast<int>(candidate.parts.size()) + 1) {
        candidate.missing = static_cast<int>(candidate.parts.size()) + 1;
      }
      candidate.parts.push_back(file);
    }
    if (candidate.missing == 0 && static_cast<int>(candidate.parts.size()) < candidate.count) {
      candidate.missing = static_cast<int>(candidate.parts.size()) + 1;
    }
    candidates.push_back(std::move(candidate));
  }
  std::ranges::sort(candidates, {}, &Candidate::path);
  return candidates;
}

enum class Match : uint8_t { kHolds, kHoldsWord };

// `word` in lower case.
bool Fits(const Candidate& candidate, std::string_view word, Match match) {
  const std::string path = Lowercase(candidate.path());
  const auto joins = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  };
  for (size_t at = path.find(word); at != path.npos; at = path.find(word, at + 1)) {
    const size_t end = at + word.size();
    const bool whole =
        (at == 0 || !joins(path[at - 1])) && (end == path.size() || !joins(path[end]));
    if (whole || match == Match::kHolds) return true;
  }
  return false;
}

std::vector<Candidate> ThoseThat(const std::vector<Candidate>& candidates, const auto& fit) {
  std::vector<Candidate> found;
  std::ranges::copy_if(candidates, std::back_inserter(found), fit);
  return found;
}

std::string List(const std::vector<Candidate>& candidates) {
  std::string list;
  for (size_t i = 0; i < std::min(candidates.size(), kShownCandidates); ++i) {
    const Candidate& each = candidates[i];
    list += fmt::format("{}{} ({}{})", i > 0 ? ", " : "", each.path(), SizeText(each.bytes()),
                        each.count > 1 ? fmt::format(" in {} files", each.count) : "");
  }
  if (candidates.size() > kShownCandidates) {
    list += fmt::format(" and {} more", candidates.size() - kShownCandidates);
  }
  return list;
}

// The candidates that a selector leaves.
std::vector<Candidate> Selected(const std::vector<Candidate>& candidates,
                                const std::string& selector) {
  auto found = ThoseThat(candidates, [&](const Candidate& each) {
    return std::ranges::any_of(each.parts, [&](const RepoFile& part) {
      return part.path == selector || FileName(part.path) == selector;
    });
  });
  const std::string word = Lowercase(selector);
  for (const Match match : {Match::kHoldsWord, Match::kHolds}) {
    if (!found.empty()) break;
    found = ThoseThat(candidates, [&](const Candidate& each) { return Fits(each, word, match); });
  }
  return found;
}

std::vector<Candidate> Preferred(const std::vector<Candidate>& candidates) {
  if (candidates.size() <= 1) return candidates;
  for (const std::string_view type : kPreferred) {
    auto found = ThoseThat(
        candidates, [&](const Candidate& each) { return Fits(each, type, Match::kHoldsWord); });
    if (!found.empty()) return found;
  }
  return candidates;
}

}  // namespace

std::string SizeText(uint64_t bytes) {
  const auto size = static_cast<double>(bytes);
  if (size >= 99.95e9) return fmt::format("{:.0f} GB", size / 1e9);
  if (size >= 1e9) return fmt::format("{:.1f} GB", size / 1e9);
  if (size >= 1e6) return fmt::format("{:.0f} MB", size / 1e6);
  if (size >= 1e3) return fmt::format("{:.0f} kB", size / 1e3);
  return fmt::format("{} bytes", bytes);
}

Result<ModelChoice> ChooseModel(const std::vector<RepoFile>& files,
                                const ModelReference& reference) {
  const std::string& selector = reference.selector;
  if (IsSideFile(selector)) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("{} is a part that belongs to a model (mmproj: its eyes, imatrix: "
                            "statistics for quantising), not a model that can be run",
                            selector));
  }
  const std::vector<Candidate> candidates = Candidates(files);
  if (candidates.empty()) {
    return Fail(ErrorCode::kNotFound,
                fmt::format("{} holds no GGUF model; models for other programs are often offered "
                            "again by others as GGUF, in a repository whose name ends with -GGUF",
                            reference.repo));
  }
  const std::vector<Candidate> found =
      selector.empty() ? Preferred(candidates) : Selected(candidates, selector);
  if (found.empty()) {
    return Fail(ErrorCode::kNotFound,
                fmt::format("{} holds no GGUF model with '{}' in its name, only {}", reference.repo,
                            selector, List(candidates)));
  }
  if (found.size() > 1) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("{} holds several models that '{}' may mean; say which, as in "
                            "hf:{}:{}: {}",
                            reference.repo, reference.Text(), reference.repo,
                            FileName(found.front().path()), List(found)));
  }
  const Candidate& chosen = found.front();
  if (chosen.missing != 0) {
    return Fail(ErrorCode::kNotFound,
                fmt::format("{}: part {} of {} of {} is missing", reference.repo, chosen.missing,
                            chosen.count, chosen.path()));
  }
  return ModelChoice{
      .parts = chosen.parts,
      .certain = !selector.empty() || Fits(chosen, kPreferred[0], Match::kHoldsWord)};
}

}  // namespace reprise
