#include "text/turn_ends.h"

#include <optional>
#include <string_view>
#include <unordered_map>

namespace reprise {
namespace {

struct TurnEnd {
  std::string_view token;
  // Control tokens of the same vocabulary that tell families apart which use the name otherwise.
  std::string_view only_with = {};
  std::string_view not_with = {};
};

constexpr TurnEnd kTurnEnds[] = {
    {"<|im_end|>"},                               // ChatML: Qwen, SmolLM, LFM2, Nemotron, Kimi
    {"<|eot_id|>"},                               // Llama 3
    {"<|eom_id|>"},                               // Llama 3, before a tool's result
    {"<|eot|>"},                                  // Llama 4
    {"<|eom|>"},                                  // Llama 4
    {"<end_of_turn>"},                            // Gemma
    {"<|end_of_turn|>"},                          // OpenChat
    {"<|end|>", {}, "<|return|>"},                // Phi-3, Phi-4-mini; a message's end in gpt-oss
    {"<|return|>"},                               // gpt-oss, behind an answer
    {"<|call|>", "<|return|>"},                   // gpt-oss, behind a call
    {"<|endoftext|>"},                            // GPT-2 and its kin
    {"<|end_of_text|>"},                          // Llama 3, Granite
    {"</s>"},                                     // Llama 2, Mistral
    {"<eos>"},                                    // Gemma
    {"<EOT>"},                                    // Code Llama
    {"<|EOT|>"},                                  // DeepSeek Coder
    {"[EOT]"},                                    // Kimi
    {"[EOS]"},                                    // Kimi
    {"<\uFF5Cend\u2581of\u2581sentence\uFF5C>"},  // DeepSeek
    {"<|END_OF_TURN_TOKEN|>"},                    // Cohere
    {"[|endofturn|]"},                            // EXAONE
    {"<|user|>", "[gMASK]"},                      // GLM-4 goes on to the other's turn
    {"<|observation|>", "[gMASK]"},               // GLM-4, behind a call
};

}  // namespace

std::vector<bool> TokensThatEndATurn(const Vocabulary& vocabulary) {
  std::unordered_map<std::string_view, size_t> control;
  for (size_t i = 0; i < vocabulary.types.size(); ++i) {
    if (vocabulary.types[i] == TokenType::kControl) control.emplace(vocabulary.tokens[i], i);
  }
  std::vector<bool> ends(vocabulary.tokens.size());
  for (const std::optional<TokenId>& named : {vocabulary.eot, vocabulary.eom}) {
    if (named) ends[static_cast<size_t>(*named)] = true;
  }
  for (const TurnEnd& end : kTurnEnds) {
    const auto found = control.find(end.token);
    if (found == control.end()) continue;
    const bool is_other_family = (!end.only_with.empty() && !control.contains(end.only_with)) ||
                                 (!end.not_with.empty() && control.contains(end.not_with));
    // What some files call eot although the turn goes on behind it is no end either.
    if (!is_other_family) {
      ends[found->second] = true;
    } else if (!end.not_with.empty()) {
      ends[found->second] = false;
    }
  }
  if (vocabulary.eos) ends[static_cast<size_t>(*vocabulary.eos)] = true;
  return ends;
}

}  // namespace reprise
