#include "vendor/anthropic/diagnostics.h"

#include <gtest/gtest.h>

#include <utility>

namespace reprise {
namespace {

using Type = CacheMissReason::Type;

TEST(DiagnosticsJsonTest, HasTheVendorsShapes) {
  namespace json = boost::json;
  EXPECT_EQ(DiagnosticsJson({}), json::value(nullptr));
  const auto reason = [](Type type) {
    return DiagnosticsJson(CacheMissReason{type, 5}).at("cache_miss_reason").as_object();
  };
  for (const auto& [type, name] : {std::pair(Type::kModelChanged, "model_changed"),
                                   {Type::kToolsChanged, "tools_changed"},
                                   {Type::kSystemChanged, "system_changed"},
                                   {Type::kMessagesChanged, "messages_changed"}}) {
    EXPECT_EQ(reason(type), (json::object{{"type", name}, {"cache_missed_input_tokens", 5}}));
  }
  EXPECT_EQ(reason(Type::kPreviousMessageNotFound),
            (json::object{{"type", "previous_message_not_found"}}));
  EXPECT_EQ(reason(Type::kUnavailable), (json::object{{"type", "unavailable"}}));
}

}  // namespace
}  // namespace reprise
