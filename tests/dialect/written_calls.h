#pragma once

// Calls written as each family's models write them, by other code than the reader's or the
// grammar's; and what a reader made of a reply.

#include <boost/json.hpp>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "dialect/dialect.h"
#include "dialect/reply_reader.h"
#include "dialect/tool_set.h"

namespace reprise {

struct WrittenCall {
  std::string name;
  boost::json::object arguments;

  bool operator==(const WrittenCall&) const = default;
};

// As a reply's part, without text around.
std::string WriteCalls(ToolFormat format, const std::vector<WrittenCall>& calls,
                       const ToolSet& tools);
// Whether a reply can have text before its calls.
bool TextMayComeFirst(ToolFormat format);

// A set of one to six tools whose parameters have all kinds of types, and calls of them.
boost::json::array RandomTools(std::mt19937& random);
std::vector<WrittenCall> RandomCalls(std::mt19937& random, const boost::json::array& tools);

struct ReadReply {
  std::string text = {};
  std::string thinking = {};
  std::vector<WrittenCall> calls = {};  // whole ones
  std::string broken = {};              // of calls that were none, or cut
  bool valid = true;                    // pieces came in order, all arguments were objects

  bool operator==(const ReadReply&) const = default;
};
// The reply in pieces of these lengths, the rest at once.
ReadReply Read(const ReplyReader::Options& options, std::string_view reply,
               const std::vector<size_t>& lengths = {}, bool cut = false);

}  // namespace reprise
