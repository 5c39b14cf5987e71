#pragma once

// The fields of OpenAI's requests, by what they do here. The third group of each table is of other
// servers that speak the same wire.

#include <array>

#include "vendor/field_rules.h"

namespace reprise {

inline constexpr std::array kOpenAiFields = {
    FieldRule{"model", FieldUse::kRead},
    FieldRule{"frequency_penalty", FieldUse::kRead},
    FieldRule{"logit_bias", FieldUse::kRead},
    FieldRule{"logprobs", FieldUse::kRead},
    FieldRule{"max_tokens", FieldUse::kRead},
    FieldRule{"max_completion_tokens", FieldUse::kRead},
    FieldRule{"n", FieldUse::kRead},
    FieldRule{"presence_penalty", FieldUse::kRead},
    FieldRule{"prompt_cache_key", FieldUse::kRead},
    FieldRule{"prompt_cache_options", FieldUse::kRead},
    FieldRule{"prompt_cache_retention", FieldUse::kRead},
    FieldRule{"response_format", FieldUse::kRead},
    FieldRule{"seed", FieldUse::kRead},
    FieldRule{"stop", FieldUse::kRead},
    FieldRule{"stream", FieldUse::kRead},
    FieldRule{"stream_options", FieldUse::kRead},
    FieldRule{"temperature", FieldUse::kRead},
    FieldRule{"top_logprobs", FieldUse::kRead},
    FieldRule{"top_p", FieldUse::kRead},
    // Of ours and of other servers.
    FieldRule{"cache_prompt", FieldUse::kRead},
    FieldRule{"ignore_eos", FieldUse::kRead},
    FieldRule{"min_p", FieldUse::kRead},
    FieldRule{"repeat_penalty", FieldUse::kRead},
    FieldRule{"repetition_penalty", FieldUse::kRead},
    FieldRule{"top_k", FieldUse::kRead},
    // Chat.
    FieldRule{"messages", FieldUse::kRead},
    FieldRule{"functions", FieldUse::kRead},
    FieldRule{"modalities", FieldUse::kRead},
    FieldRule{"prediction", FieldUse::kRead},
    FieldRule{"tool_choice", FieldUse::kRead},
    FieldRule{"tools", FieldUse::kRead},
    FieldRule{"add_generation_prompt", FieldUse::kRead},
    FieldRule{"chat_template_kwargs", FieldUse::kRead},
    FieldRule{"function_call", FieldUse::kRead},
    FieldRule{"parallel_tool_calls", FieldUse::kRead},
    FieldRule{"reasoning_effort", FieldUse::kRead},
    FieldRule{"thinking_budget", FieldUse::kRead},
    // The reply's form, of ours and of other servers.
    FieldRule{"grammar", FieldUse::kRead},
    FieldRule{"guided_choice", FieldUse::kRead},
    FieldRule{"guided_grammar", FieldUse::kRead},
    FieldRule{"guided_json", FieldUse::kRead},
    FieldRule{"guided_regex", FieldUse::kRead},
    FieldRule{"json_schema", FieldUse::kRead},
    FieldRule{"regex", FieldUse::kRead},
    // Text.
    FieldRule{"prompt", FieldUse::kRead},
    FieldRule{"best_of", FieldUse::kRead},
    FieldRule{"echo", FieldUse::kRead},
    FieldRule{"suffix", FieldUse::kRead},

    // For accounts, billing and storage, for speed alone, or a hint that no model here can take.
    FieldRule{"metadata", FieldUse::kWithoutEffect},
    FieldRule{"safety_identifier", FieldUse::kWithoutEffect},
    FieldRule{"service_tier", FieldUse::kWithoutEffect},
    FieldRule{"store", FieldUse::kWithoutEffect},
    FieldRule{"user", FieldUse::kWithoutEffect},
    FieldRule{"verbosity", FieldUse::kWithoutEffect},

    FieldRule{"audio", FieldUse::kRefused},
    FieldRule{"moderation", FieldUse::kRefused},
    FieldRule{"web_search_options", FieldUse::kRefused},
    FieldRule{"allowed_token_ids", FieldUse::kRefused},
    FieldRule{"bad_words", FieldUse::kRefused},
    FieldRule{"chat_template", FieldUse::kRefused},
    FieldRule{"continue_final_message", FieldUse::kRefused},
    FieldRule{"documents", FieldUse::kRefused},
    FieldRule{"dry_multiplier", FieldUse::kRefused},
    FieldRule{"dynatemp_range", FieldUse::kRefused},
    FieldRule{"include_stop_str_in_output", FieldUse::kRefused},
    FieldRule{"min_tokens", FieldUse::kRefused},
    FieldRule{"mirostat", FieldUse::kRefused},
    FieldRule{"n_predict", FieldUse::kRefused},
    FieldRule{"prompt_logprobs", FieldUse::kRefused},
    FieldRule{"stop_token_ids", FieldUse::kRefused},
    FieldRule{"structured_outputs", FieldUse::kRefused},
    FieldRule{"truncate_prompt_tokens", FieldUse::kRefused},
    FieldRule{"use_beam_search", FieldUse::kRefused},
    FieldRule{"xtc_probability", FieldUse::kRefused},
};

}  // namespace reprise
