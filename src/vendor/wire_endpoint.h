#pragma once

// What a vendor's folder offers to the table of routes (api/routes.cc): how one of its endpoints
// reads a call and shapes the reply, and how its errors look. Values, constant; any thread.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "vendor/call.h"
#include "vendor/error_reply.h"
#include "vendor/reply_format.h"
#include "vendor/served_model.h"

namespace reprise {

// What all paths of a vendor have in common.
struct WireForm {
  // `request_id` may be empty.
  ErrorReply (*error)(const Error& error, const std::string& request_id);
  // A header of the vendor's own that repeats x-request-id; empty: none.
  std::string_view request_id_header;
};

// An endpoint that generates.
struct WireEndpoint {
  std::string_view path;             // "/v1/chat/completions"
  std::string_view reply_id_prefix;  // "chatcmpl-"
  std::string_view call_id_prefix;   // of the calls of tools in it, "call_"
  Result<Call> (*read)(std::string_view body, const Caller& caller, const ServedModel& model);
  std::unique_ptr<const ReplyFormat> (*format)(ReplyLabel label, const Call& call,
                                               const ServedModel& model);
};

}  // namespace reprise
