#include "dialect/json_scanner.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace reprise {
namespace {

// Where the value ends; nullopt: it is broken, or goes on.
std::optional<size_t> EndOf(std::string_view text) {
  JsonScanner scanner;
  for (size_t i = 0; i < text.size(); ++i) {
    const JsonScanner::State state = scanner.Push(text[i]);
    if (state == JsonScanner::State::kEnd) return i + 1;
    if (state == JsonScanner::State::kBroken) return std::nullopt;
  }
  return std::nullopt;
}

TEST(JsonScannerTest, AgreesWithAParserOnWhatIsAValue) {
  for (const std::string_view text : {R"({})",
                                      R"([])",
                                      R"({"a": 1, "b": [true, false, null]})",
                                      R"("a\"b\\\u00e9")",
                                      R"([1, -2.5, 0, 1e9, 1.5E-3])",
                                      R"({"a": {"b": {"c": []}}})",
                                      R"([1 , 2 ])",
                                      R"([01])",
                                      R"([1.])",
                                      R"([.5])",
                                      R"([-])",
                                      R"([1e])",
                                      R"([tru])",
                                      R"([1,])",
                                      R"({"a"})",
                                      R"({"a":})",
                                      R"({,})",
                                      R"({"a":1,})",
                                      R"({a:1})",
                                      R"(["\x"])",
                                      "[\"\n\"]",
                                      R"(["\u12g4"])",
                                      R"([}])",
                                      R"([1 2])",
                                      R"({"a":1 "b":2})",
                                      R"([nullx])",
                                      R"([1-2])"}) {
    boost::system::error_code failure;
    boost::json::parse(text, failure);
    EXPECT_EQ(EndOf(text) == text.size(), !failure) << text;
  }
}

TEST(JsonScannerTest, EndsWithTheValue) {
  EXPECT_EQ(EndOf(R"({"a": "}"} and more)"), 10U);
  EXPECT_EQ(EndOf(R"("a" b)"), 3U);
}

TEST(JsonScannerTest, DepthIsBounded) { EXPECT_FALSE(EndOf(std::string(10'000, '['))); }

}  // namespace
}  // namespace reprise
