// Is there a better order of eviction than the least recently used? Hit rates on a trace, where a
// cache holds 1, 5, 10 and 25 % of its footprint, of
//
//   lru           the least recently used block, as PrefixCache has it
//   faster k      blocks that were used once only age k times as fast as the others
//   segments p    those used once have p of the room: while they hold more, the oldest of them
//   goes,
//                 else the oldest of the others
//
// Blocks leave from the ends of prefixes, as in the prefix tree. The model is a list for each kind
// of block; its least recently used order is checked against PrefixCache itself on every trace.
//
//   ninja -C build/release fleet_eviction &&
//     build/release/bench/fleet/fleet_eviction TRACE...        a line of JSON for each

#include <fmt/format.h>

#include <array>
#include <boost/json.hpp>
#include <cstdio>
#include <list>
#include <numeric>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/check.h"
#include "simulation/ideal.h"
#include "simulation/trace_reader.h"

namespace reprise {
namespace {

struct Order {
  std::string name;
  double faster = 1;    // at which blocks used once age
  double segment = -1;  // their part of the room; negative: not divided
};

const std::array<Order, 7> kOrders = {{{"lru"},
                                       {"faster 2", 2},
                                       {"faster 4", 4},
                                       {"faster 16", 16},
                                       {"segments 20 %", 1, 0.2},
                                       {"segments 50 %", 1, 0.5},
                                       {"segments 80 %", 1, 0.8}}};
constexpr std::array kShares = {0.01, 0.05, 0.10, 0.25};

class EvictionModel {
 public:
  EvictionModel(const Order& order, size_t capacity) : order_(order), capacity_(capacity) {}

  // Reads what of the prompt is there and keeps all of it; returns the blocks read.
  size_t Ask(const std::vector<TokenId>& blocks) {
    ++now_;
    size_t read = 0;
    while (read < blocks.size() && blocks_.contains(blocks[read])) ++read;
    // From the end to the beginning, so that of a prefix the end is the oldest.
    for (size_t i = blocks.size(); i-- > 0;) Use(blocks[i], i == 0 ? kNone : blocks[i - 1]);
    while (blocks_.size() > capacity_) Evict();
    return read;
  }

 private:
  static constexpr TokenId kNone = -1;
  struct Block {
    TokenId parent = kNone;
    size_t children = 0;
    bool again = false;  // used more than once
    uint64_t used = 0;
    std::list<TokenId>::iterator place;
  };
  using Lists = std::array<std::list<TokenId>, 2>;  // by `again`; the last used first

  void Use(TokenId number, TokenId parent) {
    const auto [found, added] = blocks_.try_emplace(number);
    Block& block = found->second;
    if (added) {
      block.parent = parent;
      block.children = std::exchange(orphans_[number], 0);
      if (parent != kNone) ++ChildrenOf(parent);
    } else {
      lists_[block.again].erase(block.place);
      block.again = true;
    }
    block.used = now_;
    lists_[block.again].push_front(number);
    block.place = lists_[block.again].begin();
  }

  // A parent that comes right after its child, in the same request, is not there yet.
  size_t& ChildrenOf(TokenId parent) {
    const auto found = blocks_.find(parent);
    return found == blocks_.end() ? orphans_[parent] : found->second.children;
  }

  bool OnceGoes() const {
    if (lists_[0].empty() || lists_[1].empty()) return lists_[1].empty();
    if (blocks_.at(lists_[1].back()).children > 0) return true;
    if (order_.segment >= 0) {
      return static_cast<double>(lists_[0].size()) >
             order_.segment * static_cast<double>(capacity_);
    }
    const auto age = [&](bool again) {
      return static_cast<double>(now_ - blocks_.at(lists_[again].back()).used);
    };
    return age(false) * order_.faster >= age(true);
  }

  void Evict() {
    std::list<TokenId>& list = lists_[OnceGoes() ? 0 : 1];
    const TokenId number = list.back();
    const Block block = blocks_.at(number);
    CHECK(block.children == 0, "blocks leave from the ends of prefixes");
    if (block.parent != kNone) --ChildrenOf(block.parent);
    list.pop_back();
    blocks_.erase(number);
  }

  const Order& order_;
  size_t capacity_;
  std::unordered_map<TokenId, Block> blocks_;
  std::unordered_map<TokenId, size_t> orphans_;
  Lists lists_;
  uint64_t now_ = 0;
};

double HitRate(const Trace& trace, const std::vector<size_t>& requests, const Order& order,
               size_t capacity) {
  EvictionModel model(order, capacity);
  double all = 0, read = 0;
  for (const size_t i : requests) {
    const TraceRequest& request = trace.requests[i];
    all += request.tokens;
    if (request.blocks.size() > capacity) continue;  // a server would refuse it
    read += static_cast<double>(
        std::min<size_t>(model.Ask(request.blocks) * trace.block_tokens, request.tokens));
  }
  return read / all;
}

int Run(const std::string& path) {
  const Result<Trace> trace = ReadTrace({.path = path});
  if (!trace) {
    std::fprintf(stderr, "%s\n", trace.error().message.c_str());
    return 1;
  }
  std::vector<size_t> requests(trace->requests.size());
  std::iota(requests.begin(), requests.end(), size_t{0});
  std::ranges::stable_sort(requests, {}, [&](size_t i) { return trace->requests[i].at_seconds; });
  boost::json::object rates;
  for (const Order& order : kOrders) {
    boost::json::array row;
    for (const double share : kShares) {
      const auto capacity =
          static_cast<size_t>(share * static_cast<double>(trace->distinct_blocks));
      const double rate = HitRate(*trace, requests, order, capacity);
      row.emplace_back(rate);
      if (order.name != "lru") continue;
      const double real = PlayIdeal(*trace, capacity, requests, {}).hit_rate();
      if (std::abs(rate - real) > 0.002) {
        std::fprintf(stderr, "%s at %g: the model reads %.4f, PrefixCache %.4f\n", path.c_str(),
                     share, rate, real);
        return 1;
      }
    }
    rates[order.name] = std::move(row);
  }
  fmt::print("{}\n",
             boost::json::serialize(boost::json::object{{"trace", path}, {"rates", rates}}));
  return 0;
}

}  // namespace
}  // namespace reprise

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (const int status = reprise::Run(argv[i]); status != 0) return status;
  }
}
