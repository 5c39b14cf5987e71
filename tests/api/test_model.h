#pragma once

// A byte-level tokenizer and a chat template of the ChatML kind, as a ServedModel.

#include "api/served_model.h"

namespace reprise {

inline constexpr const char* kChatMl =
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

ServedModel TestModel(const char* chat_template = kChatMl);

}  // namespace reprise
