#include "text/chat_template.h"

#include "base/limits.h"
#include "text/bridge_call.h"

namespace reprise {

struct ChatTemplate::Impl {
  RepriseTemplate* handle = nullptr;
  ~Impl() { reprise_template_free(handle); }
};

ChatTemplate::ChatTemplate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ChatTemplate::~ChatTemplate() = default;

Result<std::unique_ptr<ChatTemplate>> ChatTemplate::Create(std::string_view source) {
  const RepriseTemplateLimits limits = {
      .source_bytes = limits::kMaxTemplateBytes,
      .depth = limits::kTemplateDepth,
      .fuel = limits::kTemplateFuel,
      .fuel_per_context_byte = limits::kTemplateFuelPerContextByte,
      .most_fuel = limits::kMaxTemplateFuel,
      .stack_bytes = limits::kTemplateStackBytes,
      .stack_bytes_per_source_byte = limits::kTemplateStackPerSourceByte,
      .seconds = limits::kTemplateSeconds};
  BridgeText error;
  auto impl = std::make_unique<Impl>();
  impl->handle = reprise_template_create(ViewOf(source), limits, error.out());
  if (impl->handle == nullptr) return Fail(ErrorCode::kInvalidArgument, error.str());
  return std::unique_ptr<ChatTemplate>(new ChatTemplate(std::move(impl)));
}

Result<std::string> ChatTemplate::Render(std::string_view context_json) const {
  BridgeText output;
  BridgeText error;
  if (!reprise_template_render(impl_->handle, ViewOf(context_json), output.out(), error.out())) {
    return Fail(ErrorCode::kInvalidArgument, error.str());
  }
  return output.str();
}

}  // namespace reprise
