#pragma once

// The words of the families' own writing, as their chat templates have them. Constants.

#include <string_view>
#include <utility>

namespace reprise::marks {

inline constexpr std::string_view kToolCall = "<tool_call>";
inline constexpr std::string_view kToolCallEnd = "</tool_call>";
inline constexpr std::string_view kFunction = "<function=";
inline constexpr std::string_view kFunctionEnd = "</function>";
inline constexpr std::string_view kParameter = "<parameter=";
inline constexpr std::string_view kParameterEnd = "</parameter>";

inline constexpr std::string_view kPythonTag = "<|python_tag|>";
inline constexpr std::string_view kPythonStart = "<|python_start|>";
inline constexpr std::string_view kPythonEnd = "<|python_end|>";

inline constexpr std::string_view kMistralCalls = "[TOOL_CALLS]";
inline constexpr std::string_view kMistralId = "[CALL_ID]";
inline constexpr std::string_view kMistralArguments = "[ARGS]";

inline constexpr std::string_view kDeepSeekCalls = "<｜tool▁calls▁begin｜>";
inline constexpr std::string_view kDeepSeekCallsEnd = "<｜tool▁calls▁end｜>";
inline constexpr std::string_view kDeepSeekCall = "<｜tool▁call▁begin｜>";
inline constexpr std::string_view kDeepSeekCallEnd = "<｜tool▁call▁end｜>";
inline constexpr std::string_view kDeepSeekSeparator = "<｜tool▁sep｜>";

inline constexpr std::string_view kKimiCalls = "<|tool_calls_section_begin|>";
inline constexpr std::string_view kKimiCallsEnd = "<|tool_calls_section_end|>";
inline constexpr std::string_view kKimiCall = "<|tool_call_begin|>";
inline constexpr std::string_view kKimiCallEnd = "<|tool_call_end|>";
inline constexpr std::string_view kKimiArguments = "<|tool_call_argument_begin|>";

inline constexpr std::string_view kGemmaCall = "<start_function_call>";
inline constexpr std::string_view kGemmaCallEnd = "<end_function_call>";
inline constexpr std::string_view kGemmaEscape = "<escape>";

// https://github.com/openai/harmony
inline constexpr std::string_view kStart = "<|start|>";
inline constexpr std::string_view kChannel = "<|channel|>";
inline constexpr std::string_view kConstrain = "<|constrain|>";
inline constexpr std::string_view kMessage = "<|message|>";
inline constexpr std::string_view kEnd = "<|end|>";
inline constexpr std::string_view kCall = "<|call|>";
inline constexpr std::string_view kReturn = "<|return|>";

// Around thinking.
inline constexpr std::pair<std::string_view, std::string_view> kThinking[] = {
    {"<think>", "</think>"},       {"[THINK]", "[/THINK]"},
    {"<thinking>", "</thinking>"}, {"<|START_THINKING|>", "<|END_THINKING|>"},
    {"◁think▷", "◁/think▷"},
};

}  // namespace reprise::marks
