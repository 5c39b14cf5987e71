#include "simulation/trace_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <sstream>
#include <stdexcept>
#include <unordered_map>
#include <utility>

namespace reprise {
namespace {

namespace json = boost::json;
namespace fs = std::filesystem;

// Sessions of agents begin within so long of one another, and a person who stays away for longer
// than kLongestPause is taken to come back after that.
constexpr double kSpreadSeconds = 4 * 3600;
constexpr double kLongestPause = 3600;
constexpr size_t kBlockTokens = 512;  // Mooncake's; smaller ones are taken together

// Numbers whole prefixes in the order in which they are seen.
class PrefixNumbers {
 public:
  // One for every `group` ids; a rest is a block too.
  std::vector<TokenId> Of(const json::array& ids, uint64_t salt, size_t group = 1) {
    std::vector<TokenId> numbers;
    numbers.reserve(ids.size() / group + 1);
    uint64_t parent = salt;
    for (size_t first = 0; first < ids.size(); first += group) {
      uint64_t ids_in_one = 0;
      for (size_t i = first; i < std::min(first + group, ids.size()); ++i) {
        ids_in_one = (ids_in_one ^ ids[i].to_number<uint64_t>()) * 0x9E3779B97F4A7C15u;
      }
      const Link link{parent, ids_in_one};
      const auto [found, _] = numbers_.try_emplace(link, static_cast<TokenId>(numbers_.size()));
      numbers.push_back(found->second);
      parent = kRoots + static_cast<uint64_t>(found->second);
    }
    return numbers;
  }
  size_t size() const { return numbers_.size(); }

 private:
  static constexpr uint64_t kRoots = 1u << 30;  // salts are below
  struct Link {
    uint64_t parent;
    uint64_t ids;
    bool operator==(const Link&) const = default;
  };
  struct Hash {
    size_t operator()(const Link& link) const {
      return (link.parent * 0x9E3779B97F4A7C15u) ^ link.ids * 0xBF58476D1CE4E5B9u;
    }
  };
  std::unordered_map<Link, TokenId, Hash> numbers_;
};

uint32_t NumberAt(const json::object& object, const char* key) {
  return object.at(key).to_number<uint32_t>();
}

size_t BlockSizeOf(const json::object& file) {
  const size_t size = file.at("block_size").to_number<size_t>();
  if (size == 0) throw std::invalid_argument("block_size is 0");
  return size;
}

Trace ReadMooncake(std::ifstream& file, size_t most) {
  Trace trace{.block_tokens = kBlockTokens};
  PrefixNumbers numbers;
  std::unordered_map<TokenId, uint32_t> session_of_end;  // by a prompt's last whole block
  uint32_t sessions = 0;
  std::string line;
  while (std::getline(file, line) && (most == 0 || trace.requests.size() < most)) {
    if (line.empty()) continue;
    const json::value value = json::parse(line);
    const json::object& object = value.as_object();
    TraceRequest request{.after_seconds = object.at("timestamp").to_number<double>() / 1000,
                         .at_seconds = object.at("timestamp").to_number<double>() / 1000,
                         .tokens = NumberAt(object, "input_length"),
                         .reply_tokens = NumberAt(object, "output_length"),
                         .blocks = numbers.Of(object.at("hash_ids").as_array(), 0)};
    request.session = sessions;
    for (const TokenId block : request.blocks) {
      const auto found = session_of_end.find(block);
      if (found != session_of_end.end()) request.session = found->second;
    }
    if (request.session == sessions) ++sessions;
    const size_t whole = request.tokens / kBlockTokens;
    if (whole > 1 && whole <= request.blocks.size()) {
      session_of_end[request.blocks[whole - 1]] = request.session;
    }
    trace.seconds = std::max(trace.seconds, request.after_seconds);
    trace.requests.push_back(std::move(request));
  }
  trace.distinct_blocks = numbers.size();
  return trace;
}

void AddSession(const json::object& file, uint32_t session, double begin, PrefixNumbers& numbers,
                Trace& trace) {
  const size_t group = std::max<size_t>(1, kBlockTokens / BlockSizeOf(file));
  std::optional<double> end_before;  // of the session's request before; none: this is the first
  for (const json::value& value : file.at("requests").as_array()) {
    const json::object& object = value.as_object();
    const double at = object.at("t").to_number<double>();
    const json::value* took = object.if_contains("api_time");
    const json::array& ids = object.at("hash_ids").as_array();
    if (ids.empty()) continue;
    trace.requests.push_back(
        {.after_seconds = end_before ? std::clamp(at - *end_before, 0.0, kLongestPause) : begin,
         .at_seconds = begin + at,
         .follows = end_before.has_value(),
         .session = session,
         .tokens = NumberAt(object, "in"),
         .reply_tokens = NumberAt(object, "out"),
         .blocks = numbers.Of(ids, session, group)});
    end_before = at + (took != nullptr && took->is_number() ? took->to_number<double>() : 0);
  }
}

Trace ReadAgents(const std::vector<fs::path>& paths, const TraceQuery& query) {
  std::vector<json::value> files;
  files.reserve(paths.size());
  for (const fs::path& path : paths) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    files.push_back(json::parse(text.str()));
  }
  Trace trace;
  PrefixNumbers numbers;
  std::mt19937_64 random(query.seed);
  std::uniform_real_distribution<double> begins(0, kSpreadSeconds);
  uint32_t session = 0;
  for (size_t turn = 0; turn < query.repeat; ++turn) {
    for (const json::value& file : files) {
      const size_t size = BlockSizeOf(file.as_object());
      const size_t block_tokens = std::max<size_t>(1, kBlockTokens / size) * size;
      if (trace.block_tokens != 0 && trace.block_tokens != block_tokens) {
        throw std::invalid_argument("its sessions have blocks of different sizes");
      }
      trace.block_tokens = block_tokens;
      if (query.requests != 0 && trace.requests.size() >= query.requests) break;
      AddSession(file.as_object(), session++, begins(random), numbers, trace);
    }
  }
  // Whole sessions were added, of which the rest is not played.
  if (query.requests != 0 && trace.requests.size() > query.requests) {
    trace.requests.resize(query.requests);
  }
  // Numbers are given in order.
  for (const TraceRequest& request : trace.requests) {
    const auto most = static_cast<size_t>(std::ranges::max(request.blocks)) + 1;
    trace.distinct_blocks = std::max(trace.distinct_blocks, most);
  }
  trace.seconds = kSpreadSeconds;
  return trace;
}

}  // namespace

Result<Trace> ReadTrace(const TraceQuery& query) {
  try {
    if (fs::is_directory(query.path)) {
      std::vector<fs::path> paths;
      for (const fs::directory_entry& entry : fs::directory_iterator(query.path)) {
        if (entry.path().extension() == ".json") paths.push_back(entry.path());
      }
      std::ranges::sort(paths);
      if (paths.empty()) {
        return Fail(ErrorCode::kInvalidArgument, "no .json files in " + query.path);
      }
      return ReadAgents(paths, query);
    }
    std::ifstream file(query.path);
    if (!file) return Fail(ErrorCode::kIo, "cannot open " + query.path);
    if (fs::path(query.path).extension() == ".json") return ReadAgents({query.path}, query);
    return ReadMooncake(file, query.requests);
  } catch (const std::exception& error) {  // Boost.JSON's, of what is not such a trace
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: not a trace that is known here: {}", query.path, error.what()));
  }
}

}  // namespace reprise
