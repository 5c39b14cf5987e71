// libFuzzer over what a model writes: whatever it is, a reply is read the same however it is cut,
// calls are whole or none, and where there is no call nothing is lost. And over grammars of
// llama.cpp's form: Lark, or a sentence.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "dialect/gbnf.h"
#include "dialect/written_calls.h"
#include "text/detokenizer.h"

namespace {

void Require(bool condition) {
  if (!condition) abort();
}

std::shared_ptr<const reprise::ToolSet> Tools() {
  static const auto tools = std::make_shared<reprise::ToolSet>(
      boost::json::parse(R"([{"type": "function", "function": {"name": "f", "parameters":
        {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}}},
        {"type": "function", "function": {"name": "g"}}])")
          .as_array());
  return tools;
}

}  // namespace

// The first byte chooses the format, the second thinking and how the reply ends; the rest is it.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string reply =
      reprise::ReplaceInvalidUtf8({reinterpret_cast<const char*>(data) + 2, size - 2});
  if (data[0] == 0xFF) {
    const reprise::Result<std::string> lark = reprise::LarkOfGbnf(reply);
    Require(lark || !lark.error().message.empty());
    return 0;
  }
  reprise::ReplyReader::Options options;
  options.dialect.tools = static_cast<reprise::ToolFormat>(data[0] % reprise::kToolFormats);
  options.tools = Tools();
  if ((data[1] & 1) != 0) {
    options.dialect.think_begin = "<think>";
    options.dialect.think_end = "</think>";
    options.in_thinking = (data[1] & 2) != 0;
  }
  const bool cut = (data[1] & 4) != 0;
  const reprise::ReadReply whole = Read(options, reply, {}, cut);
  Require(whole.valid);
  Require(Read(options, reply, std::vector<size_t>(reply.size(), 1), cut) == whole);
  Require(Read(options, reply, {data[1] % (reply.size() + 1)}, cut) == whole);
  const bool plain = options.dialect.think_begin.empty() && whole.calls.empty() &&
                     options.dialect.tools != reprise::ToolFormat::kHarmony;
  if (plain) Require(whole.broken.size() + whole.text.size() == reply.size());
  return 0;
}
