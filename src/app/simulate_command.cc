#include "app/simulate_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <csignal>
#include <cstdio>

#include "base/fleet_limits.h"
#include "simulation/fleet_run.h"
#include "simulation/ideal.h"
#include "simulation/trace_reader.h"

namespace reprise {
namespace {

constexpr int kInterruptedStatus = 130;

std::atomic<bool> interrupted{false};

constexpr const char* kSimulateText =
    "How a fleet of replicas would serve a recorded trace: the server's own prefix cache and the\n"
    "router's own decision under a simulated clock. Needs no model.\n\n"
    "  reprise simulate --trace conversation_trace.jsonl --replicas 4,16,64 --policy "
    "route,session\n"
    "  reprise simulate --trace agentic --replicas 8 --memory 500000 --prompt-pace 900\n\n"
    "Traces: Mooncake's files of lines, with 512 tokens for each of hash_ids, or "
    "kv-cache-tester's\n"
    "agent sessions (a folder of .json files, or one).\n\n"
    "What it prints: `hit` is the part of the prompts' tokens that was read, not computed; `of "
    "ideal`\n"
    "compares it with one machine that has all the memory. `imbalance` is the busy time of the\n"
    "replica with most of it by their mean (`least`: what the longest request alone makes it).\n"
    "`p50`, `p99` are seconds to the first token.";

constexpr const char* kPolicyText =
    "route: as `reprise route` decides; round-robin; random; session: sticky sessions; hash: of a "
    "prompt's first 2,048 tokens; approximate-tree: as SGLang's router does by its documentation; "
    "or all; default: route";

// The line that is overwritten as the simulation goes on, where somebody sees it.
class ProgressLine {
 public:
  ~ProgressLine() {
    if (shown_) std::fputs("\r\033[K", stderr);
  }
  bool Show(size_t replicas, std::string_view policy, double done) {
    if (isatty(STDERR_FILENO) == 1) {
      shown_ = true;
      std::fputs(
          fmt::format("\r\033[K{} replicas, {}: {:.0f} %", replicas, policy, 100 * done).c_str(),
          stderr);
    }
    return !interrupted;
  }

 private:
  bool shown_ = false;
};

std::vector<std::string> PoliciesOf(const SimulateOptions& options) {
  if (std::ranges::find(options.policies, "all") == options.policies.end()) return options.policies;
  return {PolicyNames().begin(), PolicyNames().end()};
}

FleetOptions FleetOf(const SimulateOptions& options, const Trace& trace, size_t replicas) {
  FleetOptions fleet;
  fleet.replicas = replicas;
  fleet.memory_tokens = options.memory_tokens != 0
                            ? options.memory_tokens
                            : static_cast<size_t>(static_cast<double>(trace.footprint_tokens()) *
                                                  options.memory_share) /
                                  replicas;
  // More than the whole trace is never filled.
  fleet.memory_tokens = std::clamp(fleet.memory_tokens, trace.block_tokens,
                                   trace.footprint_tokens() + trace.block_tokens);
  fleet.disk_tokens = options.disk_tokens;
  fleet.seed = options.seed;
  fleet.weights = options.weights;
  fleet.pace = {.seconds_per_token = 1 / options.prompt_pace,
                .keys_per_token = options.keys_per_token,
                .stream_seconds_per_token = 1 / options.stream_pace,
                .disk_seconds_per_token = 1 / options.disk_pace};
  fleet.time_scale = options.utilisation > 0
                         ? ScaleForUtilisation(trace, fleet, options.utilisation)
                         : 1 / options.speed_up;
  return fleet;
}

struct Outcome {
  std::string policy;
  FleetOptions fleet;
  FleetResult result;
  IdealResult ideal, endless;

  double of_ideal() const {
    return ideal.hit_rate() == 0 ? 1 : result.hit_rate() / ideal.hit_rate();
  }
};

void PrintHead() {
  fmt::print("{:>8}  {:16} {:>7} {:>9} {:>8} {:>13} {:>9} {:>9} {:>10} {:>6} {:>7}\n", "replicas",
             "policy", "hit, %", "of ideal", "endless", "computed", "p50, s", "p99, s", "imbalance",
             "least", "refused");
}

void PrintRow(const Outcome& outcome) {
  const FleetResult& result = outcome.result;
  fmt::print(
      "{:>8}  {:16} {:>7.2f} {:>7.1f} % {:>8.2f} {:>13} {:>9.2f} {:>9.1f} {:>10.2f} {:>6.2f} "
      "{:>7}\n",
      outcome.fleet.replicas, outcome.policy, 100 * result.hit_rate(), 100 * outcome.of_ideal(),
      100 * outcome.endless.hit_rate(), result.computed_tokens(), result.first_token_p50,
      result.first_token_p99, result.imbalance(), result.least_imbalance(), result.refused);
  std::fflush(stdout);
}

boost::json::object ToJson(const Outcome& outcome) {
  const FleetResult& result = outcome.result;
  boost::json::array busy;
  for (const double seconds : result.busy_seconds) busy.emplace_back(seconds);
  return {{"replicas", outcome.fleet.replicas},
          {"policy", outcome.policy},
          {"memory_tokens", outcome.fleet.memory_tokens},
          {"disk_tokens", outcome.fleet.disk_tokens},
          {"time_scale", outcome.fleet.time_scale},
          {"requests", result.requests},
          {"refused", result.refused},
          {"prompt_tokens", result.prompt_tokens},
          {"read_tokens", result.read_tokens},
          {"loaded_tokens", result.loaded_tokens},
          {"computed_tokens", result.computed_tokens()},
          {"hit_rate", result.hit_rate()},
          {"ideal_hit_rate", outcome.ideal.hit_rate()},
          {"endless_hit_rate", outcome.endless.hit_rate()},
          {"of_ideal", outcome.of_ideal()},
          {"first_token_p50", result.first_token_p50},
          {"first_token_p99", result.first_token_p99},
          {"imbalance", result.imbalance()},
          {"least_imbalance", result.least_imbalance()},
          {"utilisation", result.utilisation()},
          {"simulated_seconds", result.simulated_seconds},
          {"busy_seconds", std::move(busy)}};
}

Outcome Simulate(const Trace& trace, const FleetOptions& fleet, const std::string& policy) {
  Outcome outcome{.policy = policy, .fleet = fleet, .result = {}, .ideal = {}, .endless = {}};
  ProgressLine line;
  outcome.fleet.policy = *PolicyNamed(policy);
  outcome.fleet.progress = [&](double done) { return line.Show(fleet.replicas, policy, done); };
  outcome.result = RunFleet(trace, outcome.fleet);
  if (outcome.result.stopped) return outcome;
  outcome.ideal = PlayIdeal(trace, IdealBlocks(trace, fleet), outcome.result.order, fleet.pace);
  outcome.endless = PlayIdeal(trace, 0, outcome.result.order, fleet.pace);
  return outcome;
}

// To see what each part of the decision does.
void AddWeights(CLI::App& simulate, DecisionWeights& weights) {
  const auto add = [&simulate](const char* name, double& value, const char* what) {
    simulate.add_option(name, value, what)->check(CLI::Range(0.0, 1e9));
  };
  add("--again", weights.again, "of route: what work done again costs more; default: 16");
  add("--place", weights.place,
      "of route: how much what is new avoids who worked much lately; default: 2");
  add("--most-share", weights.most_share,
      "of route: beyond so much of the mean's work, what a replica holds is no reason to go there; "
      "default: 1.2");
}

}  // namespace

CLI::App& AddSimulate(CLI::App& app, SimulateOptions& options) {
  CLI::App& simulate = *app.add_subcommand("simulate", kSimulateText);
  simulate.add_option("--trace", options.trace, "the trace: a file or a folder")
      ->required()
      ->type_name("FILE|FOLDER");
  simulate
      .add_option("--replicas", options.replicas,
                  "how many; several: one after another; default: 4")
      ->delimiter(',')
      ->check(CLI::Range(size_t{1}, limits::kMaxReplicas));
  simulate.add_option("--policy", options.policies, kPolicyText)
      ->delimiter(',')
      ->type_name("NAME")
      ->check([](const std::string& name) {
        return name == "all" || PolicyNamed(name) ? std::string()
                                                  : "there is no policy " + name + " (see --help)";
      });
  simulate.add_option("--memory", options.memory_tokens,
                      "tokens that each replica keeps in memory; default: by --memory-share");
  simulate
      .add_option("--memory-share", options.memory_share,
                  "what all replicas keep together, as a part of the trace's different tokens; "
                  "default: 0.25")
      ->check(CLI::Range(1e-6, 1e6));
  simulate.add_option("--disk", options.disk_tokens,
                      "tokens that each replica keeps on disk besides; default: none");
  simulate
      .add_option("--prompt-pace", options.prompt_pace,
                  "prompt tokens that a replica computes a second, without attention's growth; "
                  "default: 5000")
      ->check(CLI::PositiveNumber);
  simulate
      .add_option("--keys-per-token", options.keys_per_token,
                  "keys whose attention takes as long as all else of a token: where a prompt is so "
                  "long, its tokens take twice as long; default: 30000, a model of 8B")
      ->check(CLI::PositiveNumber);
  simulate
      .add_option("--stream-pace", options.stream_pace, "tokens a second of one reply; default: 33")
      ->check(CLI::PositiveNumber);
  simulate
      .add_option("--disk-pace", options.disk_pace,
                  "tokens a second that are read from disk; default: 50000")
      ->check(CLI::PositiveNumber);
  simulate
      .add_option("--utilisation", options.utilisation,
                  "stretch the trace's times so that the replicas would be busy for this part of "
                  "them, if they read what one machine reads; 0: by --speed-up; default: 0.6")
      ->check(CLI::Range(0.0, 10.0));
  simulate
      .add_option("--speed-up", options.speed_up,
                  "divide the trace's times, with --utilisation 0; default: 1")
      ->check(CLI::PositiveNumber);
  simulate
      .add_option("--repeat", options.repeat,
                  "play agents' sessions so many times, each time with tokens of their own; "
                  "default: 1")
      ->check(CLI::Range(size_t{1}, size_t{1000}));
  simulate.add_option("--requests", options.requests, "the first ones only; default: all");
  simulate.add_option("--seed", options.seed,
                      "of random choices, and of when agents' sessions begin; default: 1");
  AddWeights(simulate, options.weights);
  simulate.add_flag("--json", options.json, "JSON, with the busy seconds of each replica");
  return simulate;
}

int RunSimulate(const SimulateOptions& options) {
  const Result<Trace> trace = ReadTrace({.path = options.trace,
                                         .repeat = options.repeat,
                                         .requests = options.requests,
                                         .seed = options.seed});
  if (!trace) {
    std::fprintf(stderr, "reprise: %s\n", trace.error().message.c_str());
    return 1;
  }
  std::signal(SIGINT, [](int) { interrupted = true; });
  std::signal(SIGTERM, [](int) { interrupted = true; });
  boost::json::array rows;
  if (!options.json) {
    fmt::print("{} requests, {} different tokens in blocks of {}\n", trace->requests.size(),
               trace->footprint_tokens(), trace->block_tokens);
    PrintHead();
  }
  for (const size_t replicas : options.replicas) {
    const FleetOptions fleet = FleetOf(options, *trace, replicas);
    for (const std::string& policy : PoliciesOf(options)) {
      const Outcome outcome = Simulate(*trace, fleet, policy);
      if (outcome.result.stopped) return kInterruptedStatus;
      if (options.json) {
        rows.push_back(ToJson(outcome));
      } else {
        PrintRow(outcome);
      }
    }
  }
  if (options.json) fmt::print("{}\n", boost::json::serialize(rows));
  return 0;
}

}  // namespace reprise
