#include "api/admin.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <boost/json.hpp>
#include <string>
#include <utility>

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
          {"max_model_len", service.model.max_sequence_tokens},
          {"context_length", service.model.max_sequence_tokens},
          {"meta",
           {{"n_ctx", service.model.max_sequence_tokens},
            {"n_ctx_train", config.context},
            {"n_vocab", service.model.vocabulary},
            {"n_embd", config.hidden}}}};
}

}  // namespace

asio::awaitable<void> HandleHealth(Exchange& exchange) {
  HttpResponse response;
  const bool stopping = exchange.service.stopping;
  response.status = stopping ? 503 : 200;
  response.body = stopping ? R"({"status":"stopping"})" : R"({"status":"ok"})";
  co_await exchange.Send(std::move(response));
}

asio::awaitable<void> HandleMetrics(Exchange& exchange) {
  const Service& service = exchange.service;
  HttpResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = service.metrics.Render(service.engine.stats(), service.listener,
                                         service.options.build, service.model.name);
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
    Error error{
        ErrorCode::kNotFound,
        fmt::format("The model '{}' is not served here; '{}' is.", name, service.model.name),
        "model"};
    co_await exchange.SendError(std::move(error));
    co_return;
  }
  co_await exchange.SendJson(json::serialize(ModelJson(service)));
}

}  // namespace reprise
