#include "vendor/served_model.h"

#include <span>
#include <utility>

#include "base/limits.h"
#include "base/sha256.h"
#include "text/vocabulary_hash.h"

namespace reprise {

ServedModel DescribeTexts(ModelTexts texts) {
  ServedModel model;
  model.tokenizer = std::move(texts.tokenizer);
  model.chat_template = std::move(texts.chat_template);
  model.bos_token = std::move(texts.bos_token);
  model.eos_token = std::move(texts.eos_token);
  if (model.chat_template != nullptr) {
    model.template_traits = DetectTraits(*model.chat_template, model.bos_token, model.eos_token);
  }
  model.replies = std::make_shared<ReplyMemory>(limits::kReplyMemoryBytes);
  model.dialect = DialectOf(texts.chat_template_source, model.template_traits.tools);
  if (texts.tool_format) model.dialect.tools = *texts.tool_format;
  model.shown_control = ControlMarksOf(model.dialect, *model.tokenizer);
  model.template_hash = TemplateHash(texts.chat_template_source);
  model.vocabulary_hash = VocabularyHash(model.tokenizer->vocabulary());
  model.vocabulary = static_cast<int>(model.tokenizer->vocabulary().tokens.size());
  return model;
}

std::string TemplateHash(const std::string& source) {
  if (source.empty()) return "";
  return Sha256Hasher().Add(std::as_bytes(std::span(source))).Finish().Hex();
}

}  // namespace reprise
