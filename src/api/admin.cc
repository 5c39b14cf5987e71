#include "api/admin.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <boost/json.hpp>
#include <limits>
#include <string>
#include <utility>

#include "api/mailbox.h"

namespace reprise {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

// Both vendors' clients read it, each its own fields.
json::object ModelJson(const Service& service) {
  const ModelConfig& config = service.engine.model_config();
  return {{"id", service.model.name},
          {"object", "model"},
          {"created", service.started_at},
          {"owned_by", "reprise"},
          {"type", "model"},
          {"display_name", service.model.name},
          {"created_at", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(service.started_at))},
          {"lifecycle", "active"},
          {"max_input_tokens", service.model.max_sequence_tokens},
          {"max_tokens", service.model.max_sequence_tokens},
          {"meta",
           {{"n_ctx", service.model.max_sequence_tokens},
            {"n_ctx_train", config.context},
            {"n_vocab", service.model.vocabulary},
            {"n_embd", config.hidden}}}};
}

json::object CacheJson(const EngineStats& stats) {
  const PrefixCache::Sizes& sizes = stats.cache;
  const PrefixCache::Counters& counters = stats.cache_counters;
  return {{"block_tokens", stats.block_tokens},
          {"block_bytes", stats.block_bytes},
          {"blocks",
           {{"total", sizes.total_blocks},
            {"free", sizes.free_blocks},
            {"cached", sizes.cached_blocks},
            {"private", sizes.private_blocks},
            {"leased", sizes.leased_blocks}}},
          {"bytes",
           {{"total", sizes.total_blocks * stats.block_bytes},
            {"cached", sizes.cached_blocks * stats.block_bytes}}},
          {"cached_tokens", sizes.cached_tokens},
          {"tenants", sizes.scopes},
          {"tokens",
           {{"prompt", stats.prompt_tokens},
            {"read", stats.cached_tokens},
            {"computed", stats.computed_tokens}}},
          {"counters",
           {{"published_blocks", counters.published_blocks},
            {"deduplicated_blocks", counters.deduplicated_blocks},
            {"evicted_blocks", counters.evicted_blocks},
            {"expired_blocks", counters.expired_blocks}}},
          {"requests", {{"running", stats.running}, {"waiting", stats.waiting}}}};
}

}  // namespace

asio::awaitable<void> HandleIndex(Exchange& exchange) {
  const json::object body = {{"name", "reprise"}, {"model", exchange.service.model.name}};
  co_await exchange.SendJson(json::serialize(body));
}

asio::awaitable<void> HandleHealth(Exchange& exchange) {
  co_await exchange.SendJson(R"({"status":"ok"})");
}

asio::awaitable<void> HandleMetrics(Exchange& exchange) {
  const Service& service = exchange.service;
  HttpResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = service.metrics.Render(service.engine.stats(), service.open_connections);
  co_await exchange.Send(std::move(response));
}

asio::awaitable<void> HandleProps(Exchange& exchange) {
  const Service& service = exchange.service;
  const json::object body = {
      {"default_generation_settings", {{"n_ctx", service.model.max_sequence_tokens}}},
      {"total_slots", 1},
      {"model_alias", service.model.name},
      {"model_path", service.options.model_path},
      {"chat_template", service.options.chat_template_source},
      {"bos_token", service.model.bos_token},
      {"eos_token", service.model.eos_token},
      {"modalities", {{"vision", false}, {"audio", false}}},
      {"build_info", "reprise"}};
  co_await exchange.SendJson(json::serialize(body));
}

asio::awaitable<void> HandleModels(Exchange& exchange) {
  const json::object body = {{"object", "list"},
                             {"data", json::array{ModelJson(exchange.service)}},
                             {"has_more", false},
                             {"first_id", exchange.service.model.name},
                             {"last_id", exchange.service.model.name}};
  co_await exchange.SendJson(json::serialize(body));
}

asio::awaitable<void> HandleModel(Exchange& exchange) {
  const Service& service = exchange.service;
  const std::string_view name =
      std::string_view(exchange.request.path).substr(std::string_view("/v1/models/").size());
  if (service.model.strict_model && name != service.model.name) {
    Fault fault = ToFault(
        {ErrorCode::kNotFound,
         fmt::format("The model '{}' is not served here; '{}' is.", name, service.model.name),
         "model"});
    co_await exchange.SendFault(std::move(fault));
    co_return;
  }
  co_await exchange.SendJson(json::serialize(ModelJson(service)));
}

asio::awaitable<void> HandleCache(Exchange& exchange) {
  co_await exchange.SendJson(json::serialize(CacheJson(exchange.service.engine.stats())));
}

asio::awaitable<void> HandleFlush(Exchange& exchange) {
  Service& service = exchange.service;
  const auto mailbox =
      std::make_shared<Mailbox<size_t>>(service.io, std::numeric_limits<size_t>::max());
  const std::shared_ptr<void> closes(nullptr, [mailbox](void*) { mailbox->Close(); });
  service.engine.Flush([mailbox](size_t blocks) { mailbox->Post(blocks, 0); });
  // The engine answers between two steps; a minute without means that it has stopped.
  const std::vector<size_t> freed = co_await mailbox->Receive(std::chrono::minutes(1));
  if (freed.empty()) {
    co_await exchange.SendFault(
        ToFault({ErrorCode::kInternal, "The engine did not answer within a minute.", ""}));
    co_return;
  }
  const json::object body = {{"freed_blocks", freed.front()}};
  co_await exchange.SendJson(json::serialize(body));
}

}  // namespace reprise
