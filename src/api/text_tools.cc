#include "api/text_tools.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/limits.h"
#include "http/request_memory.h"
#include "prompt/template_context.h"
#include "text/detokenizer.h"
#include "vendor/json_reader.h"
#include "vendor/openai/conversation.h"

namespace reprise {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

using ReplyBody = Result<std::string>;
using Work = ReplyBody (*)(const json::object& body, const ServedModel& model,
                           std::string_view tenant);

// A piece that is no whole text is shown as its bytes.
json::value PieceJson(std::string_view piece) {
  if (IsValidUtf8(piece)) return json::value(piece);
  json::array bytes;
  for (const char byte : piece) bytes.push_back(static_cast<int>(static_cast<uint8_t>(byte)));
  return bytes;
}

ReplyBody Tokenize(const json::object& body, const ServedModel& model, std::string_view tenant) {
  FieldReader fields(body, "");
  const std::string_view content = fields.String("content").value_or("");
  if (content.size() > limits::kMaxTextToolContent) {
    fields.Refuse(ErrorCode::kTooLarge, "content",
                  fmt::format("'content' has {} bytes; no more than {} are tokenised here.",
                              content.size(), limits::kMaxTextToolContent));
  }
  EncodeOptions options;
  options.tenant = tenant;
  options.add_special = fields.Bool("add_special").value_or(false);
  options.parse_special = fields.Bool("parse_special").value_or(true);
  const bool with_pieces = fields.Bool("with_pieces").value_or(false);
  if (!fields.ok()) return std::unexpected(fields.status().error());

  // Written as it goes: a tree of a million tokens would take a hundred times their bytes.
  const std::vector<TokenId> ids = model.tokenizer->Encode(content, options);
  std::string reply = R"({"tokens":[)";
  reply.reserve(ids.size() * (with_pieces ? 28 : 6) + 100);
  const char* comma = "";
  for (const TokenId token : ids) {
    if (with_pieces) {
      reply += fmt::format(R"({}{{"id":{},"piece":{}}})", comma, token,
                           json::serialize(PieceJson(model.tokenizer->Piece(token))));
    } else {
      reply += fmt::format("{}{}", comma, token);
    }
    comma = ",";
  }
  return reply + "]}";
}

ReplyBody Detokenize(const json::object& body, const ServedModel& model, std::string_view) {
  FieldReader fields(body, "");
  const json::array* list = fields.Array("tokens", limits::kMaxTextToolTokens);
  if (!fields.ok()) return std::unexpected(fields.status().error());
  std::vector<TokenId> tokens;
  for (const json::value& value : list != nullptr ? *list : json::array()) {
    const auto token = ToInteger(value);
    if (!token || *token < 0 || *token >= model.vocabulary) {
      return Fail(ErrorCode::kInvalidArgument,
                  fmt::format("'tokens' holds integers from 0 to {}.", model.vocabulary - 1),
                  "tokens");
    }
    tokens.push_back(static_cast<TokenId>(*token));
  }
  // What is no UTF-8 must not reach the JSON.
  const std::string text = ReplaceInvalidUtf8(model.tokenizer->Decode(tokens, true));
  return json::serialize(json::object{{"content", text}});
}

ReplyBody ApplyTemplate(const json::object& body, const ServedModel& model,
                        std::string_view tenant) {
  const ApiPolicy lenient;
  MarkerRules ignored(lenient);
  const Result<Conversation> conversation = ReadOpenAiConversation(body, std::nullopt, ignored);
  if (!conversation) return std::unexpected(conversation.error());
  const Result<std::string> rendered = RenderTemplate(
      MakeTemplateContext(*conversation, model, std::string(tenant)).variables, model);
  if (!rendered) return rendered;
  return json::serialize(json::object{{"prompt", Tokenizer::Unescape(*rendered)}});
}

asio::awaitable<void> Handle(Exchange& exchange, Work work) {
  WorkOrder order = exchange.Order();
  if (order.bytes > limits::kMaxTextToolBytes) {
    Error error{ErrorCode::kTooLarge,
                fmt::format("The body is larger than {} bytes, which is the limit here.",
                            limits::kMaxTextToolBytes),
                ""};
    co_await exchange.SendError(std::move(error));
    co_return;
  }
  std::function<ReplyBody()> task = [work, body = std::move(exchange.request.body),
                                     tenant = exchange.identity.tenant,
                                     &model = exchange.service.model]() -> ReplyBody {
    const Result<json::object> object = ParseJsonObject(body);
    if (!object) return std::unexpected(object.error());
    return work(*object, model, tenant);
  };
  const std::shared_ptr<MemoryShare> memory = order.memory;
  ReplyBody answer = co_await exchange.service.workers.OnWorker(std::move(order), std::move(task));
  if (answer && !memory->Resize(answer->size())) answer = std::unexpected(NoRequestMemory());
  if (answer) {
    co_await exchange.SendJson(std::move(*answer));
  } else {
    co_await exchange.SendError(answer.error());
  }
}

}  // namespace

asio::awaitable<void> HandleTokenize(Exchange& exchange) { co_await Handle(exchange, Tokenize); }

asio::awaitable<void> HandleDetokenize(Exchange& exchange) {
  co_await Handle(exchange, Detokenize);
}

asio::awaitable<void> HandleApplyTemplate(Exchange& exchange) {
  co_await Handle(exchange, ApplyTemplate);
}

}  // namespace reprise
