#pragma once

// What a chat request is made of, written down while it is read: the texts of its parts, by which
// they are found in the prompt (prompt_parts.h), and hashes by which two requests are compared part
// by part. Not thread-safe.

#include <boost/json.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "prompt/prompt_parts.h"

namespace reprise {

// Equal for what renders equally: cache marks, thinking and the cutting of a text into blocks make
// no difference. Parts that are absent hash to 0.
struct RequestFingerprint {
  uint64_t tools = 0;
  uint64_t system = 0;  // a text of its own beside the messages
  std::vector<uint64_t> messages;

  bool operator==(const RequestFingerprint&) const = default;
};

struct PromptOutline {
  std::vector<PromptPart> parts;  // tools, system, messages
  RequestFingerprint fingerprint;
};

class OutlineWriter {
 public:
  // {"type": "function", "function": {…}}, or whatever the client sent.
  void AddTool(const boost::json::object& tool);

  // The system text or the next message; then its pieces in order; then its end.
  void BeginSystem();
  void BeginMessage(std::string_view role);
  void AddText(std::string_view text);
  void AddCall(std::string_view id, const boost::json::object& function);  // {"name", "arguments"}
  void AddResult(std::string_view id);                                     // its texts follow
  void AddField(std::string_view name, std::string_view value);  // shown by some templates
  void EndSystem();
  void EndMessage();

  PromptOutline Take();

 private:
  void Begin(PartName::Kind kind, uint32_t index, std::string_view role);
  uint64_t End();

  PromptOutline outline_;
  std::vector<PromptPart> tools_;
  std::string tools_key_;
  PromptPart part_;       // being written
  std::string part_key_;  // all that it says
  bool ends_in_text_ = false;
};

}  // namespace reprise
