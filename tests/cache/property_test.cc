// The prefix cache against the naive one: all short sequences of operations, and long random ones.
// A failure prints the operations that led to it.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <random>
#include <string>

#include "base/sanitizers.h"
#include "cache_world.h"

namespace reprise {
namespace {

using Words = CacheWorld::Words;
using Partial = CacheWorld::Partial;

struct Operation {
  std::string name;
  std::function<bool(const CacheWorld&)> applies;
  std::function<void(CacheWorld&)> apply;
};

// Applies every sequence of at most `depth` operations to an empty world, skipping those that do
// not apply, and compares the worlds after the last one. (Its beginnings are sequences of their
// own.)
class Exhaustive {
 public:
  Exhaustive(CacheWorld::Size size, std::vector<Operation> operations)
      : world_(size), operations_(std::move(operations)) {}

  void Run(size_t depth) {
    path_.clear();
    Extend(depth);
    std::printf("%zu sequences of operations\n", sequences_);
  }

 private:
  void Replay() {
    world_.Drain();
    for (const Operation* operation : path_) operation->apply(world_);
  }

  void Extend(size_t depth) {
    if (depth == 0) return;
    for (const Operation& operation : operations_) {
      Replay();
      if (!operation.applies(world_)) continue;
      operation.apply(world_);
      world_.Compare();
      path_.push_back(&operation);
      ++sequences_;
      if (testing::Test::HasFailure()) {
        for (const Operation* step : path_) std::printf("  %s\n", step->name.c_str());
        return;
      }
      Extend(depth - 1);
      if (testing::Test::HasFailure()) return;
      path_.pop_back();
    }
  }

  CacheWorld world_;
  std::vector<Operation> operations_;
  std::vector<const Operation*> path_;
  size_t sequences_ = 0;
};

bool AnythingCached(const CacheWorld& world) { return world.cache().sizes().cached_blocks > 0; }

std::string Letters(const Words& word) {
  std::string letters;
  for (const TokenId token : word) letters += static_cast<char>('a' + token);
  return letters;
}

// Slots are alike: the second is used only while the first is.
std::function<bool(const CacheWorld&)> Idle(size_t slot) {
  return [slot](const CacheWorld& world) {
    return !world.running(slot) && (slot == 0 || world.running(slot - 1));
  };
}
std::function<bool(const CacheWorld&)> Running(size_t slot) {
  return [slot](const CacheWorld& world) { return world.running(slot); };
}

void AddTime(std::vector<Operation>& operations) {
  operations.push_back({"advance 0.6 retention and expire", AnythingCached, [](CacheWorld& world) {
                          world.Advance(CacheWorld::kRetention * 6 / 10);
                          world.Expire();
                        }});
  operations.push_back({"flush", AnythingCached, [](CacheWorld& world) { world.Flush(); }});
}

enum class Model { kWithoutStates, kWithStates };

void AddEnd(std::vector<Operation>& operations, size_t slot, Model model = Model::kWithoutStates) {
  operations.push_back(
      {fmt::format("end {}", slot), Running(slot), [slot](CacheWorld& w) { w.End(slot); }});
  if (model == Model::kWithoutStates) return;
  operations.push_back({fmt::format("end {} keeping its state", slot), Running(slot),
                        [slot](CacheWorld& w) { w.End(slot, CacheWorld::AtEnd::kKeepState); }});
  operations.push_back({fmt::format("keep state {}", slot), Running(slot),
                        [slot](CacheWorld& w) { w.KeepState(slot); }});
}

// Token by token: every order in which two sequences can compute, publish and end.
std::vector<Operation> TokenOperations(Model model = Model::kWithoutStates) {
  std::vector<Operation> operations;
  const Words prompts[] = {{0, 1, 0}, {0, 0, 2}};
  for (const size_t slot : {0, 1}) {
    for (const Words& prompt : prompts)
      operations.push_back({fmt::format("begin {} {}", slot, Letters(prompt)),
                            [slot, first = prompt == prompts[0]](const CacheWorld& world) {
                              // Where nothing is cached, prompts begin alike.
                              return Idle(slot)(world) && (first || AnythingCached(world));
                            },
                            [slot, prompt](CacheWorld& world) {
                              world.Begin(slot, "", prompt, prompt.size(), Partial::kCopyAndLetGo);
                            }});
    for (const TokenId token : {0, 1, 2})
      operations.push_back({fmt::format("append {} {}", slot, Letters({token})), Running(slot),
                            [slot, token](CacheWorld& world) { world.Append(slot, token); }});
    operations.push_back({fmt::format("publish {}", slot), Running(slot),
                          [slot](CacheWorld& world) { world.Publish(slot); }});
    AddEnd(operations, slot, model);
  }
  AddTime(operations);
  return operations;
}

// Prompt by prompt, over all words of one to three letters.
std::vector<Operation> WordOperations() {
  std::vector<Words> words = {{}};
  for (size_t i = 0; words[i].size() < 3; ++i)
    for (const TokenId token : {0, 1, 2}) {
      words.push_back(words[i]);
      words.back().push_back(token);
    }
  std::vector<Operation> operations;
  for (const size_t slot : {0, 1}) {
    for (const Words& word : words) {
      if (word.empty()) continue;
      operations.push_back({fmt::format("run {} {}", slot, Letters(word)), Idle(slot),
                            [slot, word](CacheWorld& world) { world.Run(slot, "", word); }});
    }
    AddEnd(operations, slot);
  }
  operations.push_back({"match and hold 0 abc", Idle(0), [](CacheWorld& world) {
                          world.Begin(0, "", {0, 1, 2}, 3, Partial::kCopyAndKeepLease);
                        }});
  AddTime(operations);
  return operations;
}

// Prompts with breakpoints at every place, over all words of one to three letters of two.
std::vector<Operation> PromiseOperations(Model model = Model::kWithoutStates) {
  std::vector<Words> words = {{}};
  for (size_t i = 0; words[i].size() < 3; ++i)
    for (const TokenId token : {0, 1}) {
      words.push_back(words[i]);
      words.back().push_back(token);
    }
  constexpr Duration kTtl = CacheWorld::kRetention * 8 / 10;
  std::vector<Operation> operations;
  for (const Words& word : words)
    for (size_t tokens = 0; tokens <= word.size() && !word.empty(); ++tokens) {
      std::vector<Breakpoint> breakpoints;
      if (tokens > 0) breakpoints.push_back({tokens, kTtl * static_cast<int>(1 + tokens % 2)});
      if (tokens == 1) breakpoints.push_back({word.size(), kTtl});
      operations.push_back({fmt::format("run 0 {} keeping {}", Letters(word), tokens), Idle(0),
                            [=](CacheWorld& w) { w.Run(0, "", word, breakpoints); }});
    }
  operations.push_back({"begin 1 aba keeping 2 and 3", Idle(1), [=](CacheWorld& world) {
                          world.Begin(1, "", {0, 1, 0}, 3, Partial::kCopyAndLetGo);
                          world.Promise(1, {{2, kTtl}, {3, kTtl}});
                        }});
  operations.push_back({"append and publish 1",
                        [](const CacheWorld& world) {
                          return world.running(1) &&
                                 world.tokens(1).size() < world.prompt(1).size();
                        },
                        [](CacheWorld& world) {
                          world.Append(1, world.prompt(1)[world.tokens(1).size()]);
                          world.Publish(1);
                        }});
  for (const size_t slot : {0, 1}) AddEnd(operations, slot, model);
  AddTime(operations);
  return operations;
}

TEST(PrefixCacheProperty, EveryShortSequenceOfTokenStepsEqualsTheNaiveCache) {
  Exhaustive({.blocks = 3}, TokenOperations()).Run(kAddressSanitizer ? 7 : 8);
}

TEST(PrefixCacheProperty, EveryShortSequenceOfPromptsEqualsTheNaiveCache) {
  Exhaustive({.blocks = 1}, WordOperations()).Run(3);
  Exhaustive({.blocks = 2}, WordOperations()).Run(3);
  Exhaustive({.blocks = 3}, WordOperations()).Run(kAddressSanitizer ? 3 : 4);
}

TEST(PrefixCacheProperty, EveryShortSequenceOfMarkedPromptsEqualsTheNaiveCache) {
  for (const size_t pinned : {1, 2, 3}) {
    SCOPED_TRACE(fmt::format("pin_blocks {}", pinned));
    Exhaustive({.blocks = 3, .pin_blocks = pinned}, PromiseOperations())
        .Run(kAddressSanitizer ? 3 : 4);
  }
  Exhaustive({.blocks = 2, .pin_blocks = 1}, PromiseOperations()).Run(kAddressSanitizer ? 3 : 5);
}

TEST(PrefixCacheProperty, EveryShortSequenceOfTokenStepsWithStatesEqualsTheNaiveCache) {
  for (const size_t states : {2, 3}) {
    SCOPED_TRACE(fmt::format("{} states", states));
    Exhaustive({.blocks = 3, .states = states, .working_states = states - 1},
               TokenOperations(Model::kWithStates))
        .Run(kAddressSanitizer ? 6 : 7);
  }
}

TEST(PrefixCacheProperty, EveryShortSequenceOfMarkedPromptsWithStatesEqualsTheNaiveCache) {
  for (const size_t pinned : {1, 2}) {
    SCOPED_TRACE(fmt::format("pin_snapshots {}", pinned));
    Exhaustive({.blocks = 3,
                .pin_blocks = 2,
                .states = 1 + pinned,
                .working_states = 1,
                .pin_snapshots = pinned},
               PromiseOperations(Model::kWithStates))
        .Run(kAddressSanitizer ? 3 : 4);
  }
}

// One random life of a world: sequences of several tenants over a small alphabet, so that they
// meet, part and overtake each other inside blocks all the time.
class RandomLife {
 public:
  RandomLife(uint32_t seed, CacheWorld::Size size, TokenId letters, size_t longest)
      : random_(seed), size_(size), letters_(letters), longest_(longest), world_(size) {}

  void Live(int steps) {
    for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
      Step();
      world_.Compare();
      if (testing::Test::HasFailure()) PrintLog();
      if (step % 500 == 499) CheckThatOneSequenceMayUseEverything();
    }
    world_.Drain();
  }

 private:
  size_t Below(size_t bound) {
    return std::uniform_int_distribution<size_t>(0, bound - 1)(random_);
  }
  TokenId Letter() { return static_cast<TokenId>(Below(static_cast<size_t>(letters_))); }
  // Of three tenants, one with two cache keys.
  std::string Scope() {
    const size_t which = Below(4);
    if (which == 3) return ScopeOf("x", "other");
    return ScopeOf(std::string(1, static_cast<char>('x' + which)), "");
  }
  Words Word(size_t length) {
    Words word(length);
    for (TokenId& token : word) token = Letter();
    return word;
  }

  void PrintLog() {
    for (const std::string& line : log_) fmt::print("  {}\n", line);
  }
  template <typename... Args>
  void Log(fmt::format_string<Args...> format, Args&&... args) {
    if (log_.size() == 40) log_.pop_front();
    log_.push_back(fmt::format(format, std::forward<Args>(args)...));
  }

  void Step() {
    const size_t slot = Below(size_.sequences);
    const size_t dice = Below(100);
    if (dice < 2) {
      Log("flush");
      world_.Flush();
    } else if (dice < 8) {
      const size_t percent = Below(40);
      Log("advance {} % of the retention", percent);
      world_.Advance(CacheWorld::kRetention * percent / 100);
    } else if (dice < 12) {
      Log("expire");
      world_.Expire();
    } else if (!world_.running(slot)) {
      Start(slot);
    } else if (dice < 20) {
      const bool keeps = size_.states > 0 && Below(2) == 0;
      Log("end {}{}", slot, keeps ? " keeping its state" : "");
      world_.End(slot, keeps ? CacheWorld::AtEnd::kKeepState : CacheWorld::AtEnd::kDropState);
    } else if (dice < 25) {
      Log("let go partial {}", slot);
      world_.LetGoPartial(slot);
    } else if (dice < 35 && size_.states > 0) {
      Log("keep state {}", slot);
      world_.KeepState(slot);
    } else if (dice < 50) {
      Log("publish {}", slot);
      world_.Publish(slot);
    } else if (world_.tokens(slot).size() < longest_) {
      // A prompt with breakpoints is followed to its end.
      const size_t length = world_.tokens(slot).size();
      const bool follows = world_.promised(slot) && length < world_.prompt(slot).size();
      const TokenId letter = follows ? world_.prompt(slot)[length] : Letter();
      Log("append {} {}", slot, Letters({letter}));
      world_.Append(slot, letter);
    }
  }

  // Ascending places in a prompt, with lifetimes around the retention and of every class.
  std::vector<Breakpoint> Breakpoints(size_t prompt_size) {
    std::vector<Breakpoint> breakpoints(Below(3) == 0 ? Below(4) : 0);
    for (Breakpoint& breakpoint : breakpoints) {
      breakpoint.tokens = 1 + Below(prompt_size);
      breakpoint.ttl = CacheWorld::kRetention * (1 + Below(30)) / 10;
      if (Below(10) == 0) breakpoint.ttl *= 50;
      if (Below(50) == 0) breakpoint.ttl *= 500;
    }
    std::ranges::sort(breakpoints, {}, &Breakpoint::tokens);
    return breakpoints;
  }
  static std::string Places(const std::vector<Breakpoint>& breakpoints) {
    std::string places;
    for (const Breakpoint& breakpoint : breakpoints)
      places += fmt::format(" keep {} for {} s", breakpoint.tokens,
                            std::chrono::duration<double>(breakpoint.ttl).count());
    return places;
  }

  void Start(size_t slot) {
    const Words prompt = Word(1 + Below(longest_));
    const std::string scope = Scope();
    const std::vector<Breakpoint> breakpoints = Breakpoints(prompt.size());
    if (Below(2) == 0) {
      Log("run {} {} {}{}", slot, scope, Letters(prompt), Places(breakpoints));
      world_.Run(slot, scope, prompt, breakpoints);
      return;
    }
    const size_t limit = Below(prompt.size() + 2);
    const auto partial = Below(2) == 0 ? Partial::kCopyAndLetGo : Partial::kCopyAndKeepLease;
    Log("begin {} {} {} limit {}{}", slot, scope, Letters(prompt), limit,
        partial == Partial::kCopyAndKeepLease ? " keeping its partial lease" : "");
    world_.Begin(slot, scope, prompt, limit, partial);
    if (breakpoints.empty()) return;
    Log("promise {}{}", slot, Places(breakpoints));
    world_.Promise(slot, breakpoints);
  }

  // Whatever is cached: nothing of it may be in the way of a sequence that fits beside promises.
  void CheckThatOneSequenceMayUseEverything() {
    for (size_t slot = 0; slot < size_.sequences; ++slot)
      if (world_.running(slot)) world_.End(slot);
    EXPECT_GE(world_.cache().available_blocks(), size_.blocks - size_.pin_blocks);
    const Words prompt =
        Word((size_.blocks - size_.pin_blocks) * static_cast<size_t>(size_.block_tokens));
    EXPECT_TRUE(world_.Run(0, Scope(), prompt));
    EXPECT_EQ(world_.tokens(0), prompt);
    world_.Compare();
    world_.End(0);
  }

  std::mt19937 random_;
  CacheWorld::Size size_;
  TokenId letters_;
  size_t longest_;
  CacheWorld world_;
  std::deque<std::string> log_;  // the last steps
};

TEST(PrefixCacheProperty, LongRandomLivesEqualTheNaiveCache) {
  const uint32_t first_seed = std::random_device{}();
  const CacheWorld::Size sizes[] = {
      {.blocks = 4, .block_tokens = 2, .sequences = 3},
      {.blocks = 12, .block_tokens = 3, .sequences = 4},
      {.blocks = 30, .block_tokens = 4, .sequences = 8},
      {.blocks = 25, .block_tokens = 1, .sequences = 6},
      {.blocks = 6, .block_tokens = 2, .sequences = 3, .pin_blocks = 2},
      {.blocks = 12, .block_tokens = 3, .sequences = 4, .pin_blocks = 7},
      {.blocks = 30, .block_tokens = 4, .sequences = 8, .pin_blocks = 15},
      {.blocks = 30,
       .block_tokens = 4,
       .sequences = 8,
       .pin_blocks = 20,
       .pin_blocks_per_tenant = 5},
      {.blocks = 25, .block_tokens = 1, .sequences = 6, .pin_blocks = 12},
      {.blocks = 4, .block_tokens = 2, .sequences = 3, .states = 3, .working_states = 3},
      {.blocks = 30, .block_tokens = 4, .sequences = 8, .states = 12, .working_states = 6},
      {.blocks = 12,
       .block_tokens = 3,
       .sequences = 4,
       .pin_blocks = 7,
       .states = 6,
       .working_states = 2,
       .pin_snapshots = 4},
      {.blocks = 30,
       .block_tokens = 4,
       .sequences = 8,
       .pin_blocks = 20,
       .pin_blocks_per_tenant = 9,
       .states = 20,
       .working_states = 8,
       .pin_snapshots = 12,
       .pin_snapshots_per_tenant = 4}};
  uint32_t seed = first_seed;
  for (const CacheWorld::Size& size : sizes)
    for (const TokenId letters : {2, 3}) {
      const size_t longest = 4 * static_cast<size_t>(size.block_tokens) + 1;
      SCOPED_TRACE(fmt::format("seed {} blocks {} block_tokens {} letters {} pin_blocks {}", seed,
                               size.blocks, size.block_tokens, letters, size.pin_blocks));
      RandomLife(seed++, size, letters, longest).Live(kAddressSanitizer ? 3000 : 20000);
      if (HasFailure()) return;
    }
  std::printf("seeds from %u\n", first_seed);
}

}  // namespace
}  // namespace reprise
