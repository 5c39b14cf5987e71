#include "api/tree_page.h"

#include <fmt/format.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "api/ask_engine.h"
#include "api/shown_tree.h"
#include "base/limits.h"
#include "http/as_tuple.h"
#include "http/query.h"
#include "http/request_memory.h"
#include "vendor/json_reader.h"
#include "vendor/marker_rules.h"

namespace reprise {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

constexpr std::string_view kRoot = "/cache/tree/";
constexpr std::string_view kKeep = "/keep";

using Tree = std::shared_ptr<const ShownTree>;

// What the asker may see, when it is its turn.
asio::awaitable<Result<Tree>> TakeTree(Exchange& exchange, size_t most_nodes) {
  Service& service = exchange.service;
  const TimePoint now = std::chrono::steady_clock::now();
  const auto turn = service.tree_turns.Take(exchange.identity.tenant, now);
  if (!turn) {
    co_return Fail(ErrorCode::kOverloaded, "Too many look at the tree already; ask less often.");
  }
  if (*turn > now) {
    asio::steady_timer timer(service.io, *turn);
    co_await timer.async_wait(kAsTuple);
  }
  TreeQuery query = {.most_chains = most_nodes};
  if (!exchange.identity.admin) query.tenant = exchange.identity.tenant;
  std::function<void(std::function<void(TreeView)>)> ask = [&](auto done) {
    service.engine.DescribeTree(query, std::move(done));
  };
  std::optional<TreeView> view = co_await AskEngine<TreeView>(service, std::move(ask));
  if (!view) co_return std::unexpected(NoAnswer());
  auto labels = LabelPrefixes(*view, service.history, *service.model.tokenizer);
  co_return std::make_shared<const ShownTree>(std::move(*view), std::move(labels), most_nodes,
                                              std::chrono::system_clock::now());
}

// JSON of thousands of nodes takes its time: a worker's.
asio::awaitable<void> SendWritten(Exchange& exchange, std::function<Result<std::string>()> write) {
  WorkOrder order = exchange.Order();
  const std::shared_ptr<MemoryShare> memory = order.memory;
  Result<std::string> body =
      co_await exchange.service.workers.OnWorker(std::move(order), std::move(write));
  if (body && !memory->Resize(body->size())) body = std::unexpected(NoRequestMemory());
  if (body) {
    co_await exchange.SendJson(std::move(*body));
  } else {
    co_await exchange.SendError(body.error());
  }
}

Error NoNode(std::string_view name) {
  return {ErrorCode::kNotFound, fmt::format("The prompt cache has no node '{}' (any more).", name),
          ""};
}

Result<size_t> ReadLimit(std::string_view query) {
  const Result<size_t> limit = QueryNumber(query, "limit", limits::kShownTreeNodes);
  if (limit && *limit >= 1 && *limit <= limits::kMaxShownTreeNodes) return limit;
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("'limit' is a number of nodes from 1 to {}.", limits::kMaxShownTreeNodes),
              "limit");
}

Result<Duration> ReadTtl(const std::string& body) {
  const Result<json::object> object = ParseJsonObject(body);
  if (!object) return std::unexpected(object.error());
  FieldReader fields(*object, "");
  const std::string text(fields.String("ttl").value_or("1h"));
  if (!fields.ok()) return std::unexpected(fields.status().error());
  const std::optional<Duration> ttl = ParseTtl(text);
  if (!ttl) {
    return Fail(ErrorCode::kInvalidArgument,
                "'ttl' is a time like \"30s\", \"5m\", \"1h\" or \"7d\".", "ttl");
  }
  return *ttl;
}

// nullopt: it was kept.
std::optional<Error> WhyNotKept(KeepDecision decision) {
  switch (decision) {
    case KeepDecision::kKept:
      break;
    case KeepDecision::kPoolFull:
      return Error{ErrorCode::kOverloaded,
                   "What promises may hold of the cache is held already: it could not be kept "
                   "(--pin-memory is the share; let others go, or wait until they end).",
                   ""};
    case KeepDecision::kTenantFull:
      return Error{ErrorCode::kOverloaded,
                   "What this tenant's promises may hold is held already: it could not be kept.",
                   ""};
    case KeepDecision::kNoSnapshot:
      return Error{ErrorCode::kInvalidArgument,
                   "No state of the model's recurrent layers was kept up to here, so nothing "
                   "could be read: it is not worth keeping.",
                   ""};
  }
  return std::nullopt;
}

}  // namespace

asio::awaitable<void> HandleTree(Exchange& exchange) {
  const Result<size_t> limit = ReadLimit(exchange.request.query);
  if (!limit) {
    co_await exchange.SendError(limit.error());
    co_return;
  }
  const Result<Tree> tree = co_await TakeTree(exchange, *limit);
  if (!tree) {
    co_await exchange.SendError(tree.error());
    co_return;
  }
  std::function<Result<std::string>()> write =
      [tree = *tree, tokenizer = exchange.service.model.tokenizer,
       admin = exchange.identity.admin]() -> Result<std::string> {
    return json::serialize(tree->Page(*tokenizer, admin));
  };
  co_await SendWritten(exchange, std::move(write));
}

asio::awaitable<void> HandleTreeNode(Exchange& exchange) {
  const std::string name = exchange.request.path.substr(kRoot.size());
  const Result<Tree> tree = co_await TakeTree(exchange, limits::kMaxShownTreeNodes);
  if (!tree) {
    co_await exchange.SendError(tree.error());
    co_return;
  }
  std::function<Result<std::string>()> write =
      [tree = *tree, name, tokenizer = exchange.service.model.tokenizer,
       admin = exchange.identity.admin]() -> Result<std::string> {
    const std::optional<json::object> details = tree->Details(name, *tokenizer, admin);
    if (!details) return std::unexpected(NoNode(name));
    return json::serialize(*details);
  };
  co_await SendWritten(exchange, std::move(write));
}

asio::awaitable<void> HandleDropTreeNode(Exchange& exchange) {
  const std::string name = exchange.request.path.substr(kRoot.size());
  const std::optional<TreeNodeId> id = ReadTreeNodeId(name);
  std::optional<TreeDrop> dropped;
  if (id) {
    Engine& engine = exchange.service.engine;
    std::function<void(std::function<void(std::optional<TreeDrop>)>)> ask = [&](auto done) {
      engine.DropTreeNode(*id, std::move(done));
    };
    const auto answer =
        co_await AskEngine<std::optional<TreeDrop>>(exchange.service, std::move(ask));
    if (!answer) {
      co_await exchange.SendError(NoAnswer());
      co_return;
    }
    dropped = *answer;
  }
  if (!dropped) {
    co_await exchange.SendError(NoNode(name));
    co_return;
  }
  const json::object body = {{"freed_blocks", dropped->freed_blocks},
                             {"kept_blocks", dropped->kept_blocks}};
  co_await exchange.SendJson(json::serialize(body));
}

asio::awaitable<void> HandleKeepTreeNode(Exchange& exchange) {
  std::string name = exchange.request.path.substr(kRoot.size());
  if (!name.ends_with(kKeep)) {
    Error error{ErrorCode::kNotFound, "What is posted to a node is /cache/tree/{id}/keep.", ""};
    co_await exchange.SendError(std::move(error));
    co_return;
  }
  name.resize(name.size() - kKeep.size());
  const Result<Duration> ttl = ReadTtl(exchange.request.body);
  if (!ttl) {
    co_await exchange.SendError(ttl.error());
    co_return;
  }
  const Result<Tree> tree = co_await TakeTree(exchange, limits::kMaxShownTreeNodes);
  if (!tree) {
    co_await exchange.SendError(tree.error());
    co_return;
  }
  const std::optional<TreeNodeId> end = (*tree)->EndOf(name);
  std::optional<TreeKeep> kept;
  if (end) {
    Engine& engine = exchange.service.engine;
    std::function<void(std::function<void(std::optional<TreeKeep>)>)> ask = [&](auto done) {
      engine.KeepTreeNode(*end, *ttl, std::move(done));
    };
    const auto answer =
        co_await AskEngine<std::optional<TreeKeep>>(exchange.service, std::move(ask));
    if (!answer) {
      co_await exchange.SendError(NoAnswer());
      co_return;
    }
    kept = *answer;
  }
  if (!kept) {
    co_await exchange.SendError(NoNode(name));
    co_return;
  }
  if (const std::optional<Error> error = WhyNotKept(kept->decision)) {
    co_await exchange.SendError(*error);
    co_return;
  }
  const json::object body = {{"kept", true},
                             {"tokens", kept->tokens},
                             {"expires_in", std::chrono::duration<double>(kept->left).count()}};
  co_await exchange.SendJson(json::serialize(body));
}

}  // namespace reprise
