// The text layer on a pipe, for the tests that compare it with Python's libraries: reads one JSON
// object a line from standard input, writes one a line to standard output.
//
//   {"op": "vocabulary", "model": …, "pre": …, "tokens": […], …}   becomes the tokenizer in use
//   {"op": "encode", "text": …, "parse_special": …, "add_special": …}
//   {"op": "encode_rendered" | "escape" | "unescape", "text": …}
//   {"op": "decode", "ids": […]}                                     bytes as hex
//   {"op": "detokenize", "chunks": [hex, …]}
//   {"op": "template", "source": …}                                  becomes the template in use
//   {"op": "render", "context": "{…}"}
//
// An answer is {"result": …} or {"error": sentence, "code": number}.

#include <boost/json.hpp>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat_template.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"

namespace reprise {
namespace {

namespace json = boost::json;

Result<json::value> Wrong(std::string message) {
  return Fail(ErrorCode::kInvalidArgument, std::move(message));
}

std::string HexOf(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (const char byte : bytes) {
    const auto value = static_cast<uint8_t>(byte);
    hex += kDigits[value >> 4];
    hex += kDigits[value & 15];
  }
  return hex;
}

std::string BytesOf(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

bool Flag(const json::object& request, std::string_view key) {
  const json::value* value = request.if_contains(key);
  return value != nullptr && value->as_bool();
}

std::optional<TokenId> TokenOf(const json::object& request, std::string_view key) {
  const json::value* value = request.if_contains(key);
  if (value == nullptr || value->is_null()) return std::nullopt;
  return value->to_number<TokenId>();
}

Vocabulary VocabularyOf(const json::object& request) {
  Vocabulary vocabulary;
  vocabulary.model = json::value_to<std::string>(request.at("model"));
  vocabulary.pre = json::value_to<std::string>(request.at("pre"));
  vocabulary.tokens = json::value_to<std::vector<std::string>>(request.at("tokens"));
  vocabulary.merges = json::value_to<std::vector<std::string>>(request.at("merges"));
  vocabulary.scores = json::value_to<std::vector<float>>(request.at("scores"));
  for (const json::value& type : request.at("types").as_array()) {
    vocabulary.types.push_back(static_cast<TokenType>(type.to_number<uint8_t>()));
  }
  vocabulary.bos = TokenOf(request, "bos");
  vocabulary.eos = TokenOf(request, "eos");
  vocabulary.unknown = TokenOf(request, "unknown");
  vocabulary.add_bos = Flag(request, "add_bos");
  vocabulary.add_eos = Flag(request, "add_eos");
  vocabulary.add_space_prefix = Flag(request, "add_space_prefix");
  vocabulary.strip_after_control = Flag(request, "strip_after_control");
  return vocabulary;
}

class TextTool {
 public:
  Result<json::value> Answer(const json::object& request) {
    const std::string op = json::value_to<std::string>(request.at("op"));
    if (op == "vocabulary") return SetVocabulary(request);
    if (op == "template") return SetTemplate(request);
    if (op == "render") return Render(request);
    if (op == "detokenize") return Detokenize(request);
    if (op == "unescape") return json::string(Tokenizer::Unescape(Text(request)));
    if (tokenizer_ == nullptr) return Wrong("no vocabulary was given");
    if (op == "encode") {
      return json::value_from(tokenizer_->Encode(
          Text(request), {Flag(request, "add_special"), Flag(request, "parse_special")}));
    }
    if (op == "encode_rendered")
      return json::value_from(tokenizer_->EncodeRendered(Text(request), ""));
    if (op == "escape") return json::string(tokenizer_->EscapeUserText(Text(request)));
    if (op == "decode") {
      const auto ids = json::value_to<std::vector<TokenId>>(request.at("ids"));
      return json::string(HexOf(tokenizer_->Decode(ids, true)));
    }
    return Wrong("unknown op " + op);
  }

 private:
  static std::string_view Text(const json::object& request) {
    return request.at("text").as_string();
  }

  Result<json::value> SetVocabulary(const json::object& request) {
    auto created = Tokenizer::Create(VocabularyOf(request));
    if (!created) return std::unexpected(created.error());
    tokenizer_ = *std::move(created);
    return json::value(true);
  }

  Result<json::value> SetTemplate(const json::object& request) {
    auto created = ChatTemplate::Create(std::string_view(request.at("source").as_string()));
    if (!created) return std::unexpected(created.error());
    template_ = *std::move(created);
    return json::value(true);
  }

  Result<json::value> Render(const json::object& request) {
    if (template_ == nullptr) return Wrong("no template was given");
    auto rendered = template_->Render(std::string_view(request.at("context").as_string()));
    if (!rendered) return std::unexpected(rendered.error());
    return json::value(*rendered);
  }

  static Result<json::value> Detokenize(const json::object& request) {
    Detokenizer detokenizer;
    json::array parts;
    for (const json::value& chunk : request.at("chunks").as_array()) {
      parts.emplace_back(HexOf(detokenizer.Push(BytesOf(std::string_view(chunk.as_string())))));
    }
    parts.emplace_back(HexOf(detokenizer.Finish()));
    return json::value(std::move(parts));
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<ChatTemplate> template_;
};

int Run() {
  std::ios::sync_with_stdio(false);
  TextTool tool;
  std::string line;
  while (std::getline(std::cin, line)) {
    const json::value request = json::parse(line);
    const Result<json::value> answer = tool.Answer(request.as_object());
    json::object reply;
    if (answer) {
      reply["result"] = *answer;
    } else {
      reply["error"] = answer.error().message;
      reply["code"] = static_cast<int>(answer.error().code);
    }
    std::cout << json::serialize(reply) << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace reprise

int main() { return reprise::Run(); }
