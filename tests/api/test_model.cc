#include "test_model.h"

#include "../text/test_vocabulary.h"
#include "base/check.h"

namespace reprise {

ServedModel TestModel(const char* chat_template) {
  ServedModel model;
  auto tokenizer = Tokenizer::Create(ByteLevelVocabulary());
  CHECK(tokenizer.has_value(), "the test vocabulary makes a tokenizer");
  model.tokenizer = std::move(*tokenizer);
  if (chat_template != nullptr) {
    auto parsed = ChatTemplate::Create(chat_template);
    CHECK(parsed.has_value(), "the test template parses");
    model.chat_template = std::move(*parsed);
  }
  model.name = "tiny";
  model.bos_token = "<|im_start|>";
  model.eos_token = "<|endoftext|>";
  if (model.chat_template != nullptr) {
    model.template_traits = DetectTraits(*model.chat_template, model.bos_token, model.eos_token);
  }
  model.vocabulary = static_cast<int>(model.tokenizer->vocabulary().tokens.size());
  model.max_sequence_tokens = 4096;
  return model;
}

}  // namespace reprise
