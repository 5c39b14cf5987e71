#pragma once

// The fields of requests for a response, by what they do here.

#include <array>

#include "vendor/field_rules.h"

namespace reprise {

inline constexpr std::array kResponsesFields = {
    FieldRule{"include", FieldUse::kRead},
    FieldRule{"input", FieldUse::kRead},
    FieldRule{"instructions", FieldUse::kRead},
    FieldRule{"max_output_tokens", FieldUse::kRead},
    FieldRule{"metadata", FieldUse::kRead},
    FieldRule{"model", FieldUse::kRead},
    FieldRule{"parallel_tool_calls", FieldUse::kRead},
    FieldRule{"previous_response_id", FieldUse::kRead},
    FieldRule{"prompt_cache_key", FieldUse::kRead},
    FieldRule{"prompt_cache_options", FieldUse::kRead},
    FieldRule{"prompt_cache_retention", FieldUse::kRead},
    FieldRule{"reasoning", FieldUse::kRead},
    FieldRule{"store", FieldUse::kRead},
    FieldRule{"stream", FieldUse::kRead},
    FieldRule{"temperature", FieldUse::kRead},
    FieldRule{"text", FieldUse::kRead},
    FieldRule{"tool_choice", FieldUse::kRead},
    FieldRule{"tools", FieldUse::kRead},
    FieldRule{"top_p", FieldUse::kRead},
    // Of ours and of other servers.
    FieldRule{"cache_prompt", FieldUse::kRead},
    FieldRule{"chat_template_kwargs", FieldUse::kRead},
    FieldRule{"min_p", FieldUse::kRead},
    FieldRule{"seed", FieldUse::kRead},
    FieldRule{"stop", FieldUse::kRead},
    FieldRule{"top_k", FieldUse::kRead},

    // For accounts and billing, for speed alone, or a bound that is kept anyway. Nothing is left
    // out of a context that is too long, whatever `truncation` says: that is an error.
    FieldRule{"access_programs", FieldUse::kWithoutEffect},
    FieldRule{"background_options", FieldUse::kWithoutEffect},
    FieldRule{"client_metadata", FieldUse::kWithoutEffect},
    FieldRule{"context_management", FieldUse::kWithoutEffect},
    FieldRule{"max_tool_calls", FieldUse::kWithoutEffect},
    FieldRule{"safety_identifier", FieldUse::kWithoutEffect},
    FieldRule{"service_tier", FieldUse::kWithoutEffect},
    FieldRule{"stream_options", FieldUse::kWithoutEffect},
    FieldRule{"truncation", FieldUse::kWithoutEffect},
    FieldRule{"user", FieldUse::kWithoutEffect},

    FieldRule{"background", FieldUse::kRefused},
    FieldRule{"conversation", FieldUse::kRefused},
    FieldRule{"image", FieldUse::kRefused},
    FieldRule{"moderation", FieldUse::kRefused},
    FieldRule{"prompt", FieldUse::kRefused},
    FieldRule{"top_logprobs", FieldUse::kRefused},
};

}  // namespace reprise
