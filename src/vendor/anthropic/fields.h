#pragma once

// The fields of Anthropic's requests, betas included, by what they do here.

#include <array>

#include "vendor/field_rules.h"

namespace reprise {

inline constexpr std::array kAnthropicFields = {
    FieldRule{"cache_control", FieldUse::kRead},
    FieldRule{"diagnostics", FieldUse::kRead},
    FieldRule{"max_tokens", FieldUse::kRead},
    FieldRule{"messages", FieldUse::kRead},
    FieldRule{"model", FieldUse::kRead},
    FieldRule{"output_config", FieldUse::kRead},
    FieldRule{"output_format", FieldUse::kRead},
    FieldRule{"stop_sequences", FieldUse::kRead},
    FieldRule{"stream", FieldUse::kRead},
    FieldRule{"system", FieldUse::kRead},
    FieldRule{"temperature", FieldUse::kRead},
    FieldRule{"thinking", FieldUse::kRead},
    FieldRule{"tool_choice", FieldUse::kRead},
    FieldRule{"tools", FieldUse::kRead},
    FieldRule{"top_k", FieldUse::kRead},
    FieldRule{"top_p", FieldUse::kRead},
    FieldRule{"seed", FieldUse::kRead},  // of ours

    // For accounts and billing, for speed alone, or about what no model here does. A context that
    // is not edited or compacted holds more than the client asked for, not less.
    FieldRule{"betas", FieldUse::kWithoutEffect},
    FieldRule{"billing_policy", FieldUse::kWithoutEffect},
    FieldRule{"compaction", FieldUse::kWithoutEffect},
    FieldRule{"context_management", FieldUse::kWithoutEffect},
    FieldRule{"fallback_credit_token", FieldUse::kWithoutEffect},
    FieldRule{"fallbacks", FieldUse::kWithoutEffect},
    FieldRule{"inference_geo", FieldUse::kWithoutEffect},
    FieldRule{"metadata", FieldUse::kWithoutEffect},
    FieldRule{"service_tier", FieldUse::kWithoutEffect},
    FieldRule{"speed", FieldUse::kWithoutEffect},
    FieldRule{"user_profile_id", FieldUse::kWithoutEffect},
    FieldRule{"workspace_id", FieldUse::kWithoutEffect},

    FieldRule{"container", FieldUse::kRefused},
    FieldRule{"mcp_servers", FieldUse::kRefused},
    FieldRule{"thread", FieldUse::kRefused},
};

}  // namespace reprise
