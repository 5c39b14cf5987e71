#pragma once

// The shapes of OpenAI's Responses API: response, and the events of its stream, as the vendor's
// client has them in types/responses. See reply_format.h.

#include <boost/json.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "vendor/reply_format.h"
#include "vendor/responses/response_store.h"

namespace reprise {

// What of a request its response repeats, and what is kept of it.
struct ResponsePlan {
  boost::json::object echo;    // fields of the response that say again what was asked
  std::string items;           // JSON: this conversation's, with the request's input; to be stored
  bool seal_thinking = false;  // as encrypted_content
  std::shared_ptr<ResponseStore> store;  // null: the response is not kept
  std::string tenant;
};

class ResponsesReply final : public ReplyFormat {
 public:
  ResponsesReply(ReplyLabel label, std::shared_ptr<const ResponsePlan> plan)
      : label_(std::move(label)), plan_(std::move(plan)) {}

  std::string Body(std::vector<Choice>& choices, const CallUsage& usage) const override;
  void WriteStart(size_t index, const Choice& choice, std::string& stream) const override;
  void WritePiece(size_t index, const ReplyPiece& piece, bool begins, Choice& choice,
                  std::string& stream) const override;
  void WriteFinish(size_t index, Choice& choice, std::string& stream) const override;
  void WriteEnd(const CallUsage& usage, std::string& stream) const override;
  void WriteError(const Error& error, std::string& stream) const override;
  std::string stored_id() const override;
  std::string_view ping() const override;

 private:
  boost::json::object Response(std::string_view status) const;
  boost::json::object Finished(const Choice& choice, const CallUsage& usage) const;
  // A part as an item of the output, whole or as it begins.
  boost::json::object Item(const ReplyPart& part, size_t index) const;
  boost::json::object BeginningOf(const ReplyPart& part, size_t index) const;
  std::string ItemId(const ReplyPart& part, size_t index) const;
  boost::json::array Output(const Choice& choice) const;
  void EndPart(const ReplyPart& part, size_t index, std::string& stream) const;
  void AppendEvent(std::string_view type, boost::json::object data, std::string& stream) const;
  void Store(const boost::json::object& response) const;

  const ReplyLabel label_;
  const std::shared_ptr<const ResponsePlan> plan_;
  mutable int events_ = 0;                    // written of the stream
  mutable const Choice* finished_ = nullptr;  // until the stream's end
};

}  // namespace reprise
