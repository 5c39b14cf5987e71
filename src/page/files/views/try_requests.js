// A conversation as the two vendors' requests, and their streams as text and counts.
//
// A conversation is {model, system, document, systemMark, documentMark, cachePrompt, maxTokens,
// messages}: marks are lifetimes ("5m") or ""; messages are {role, content}, the last one the
// question. Both vendors' requests of it are the same tokens, so what came by one is read by the other.

export const kVendors = {
  openai: { title: "OpenAI", path: "/v1/chat/completions", body: openaiBody, read: readOpenai },
  anthropic: { title: "Anthropic", path: "/v1/messages", body: anthropicBody, read: readAnthropic },
};

function openaiBody(conversation) {
  const mark = (text, ttl) => ({
    type: "text", text, ...(ttl && { prompt_cache_breakpoint: { mode: "explicit", ttl } }),
  });
  const { system, document, systemMark, documentMark } = conversation;
  // Parts are joined as they are; Anthropic's blocks are, by a blank line.
  const parts = [system && mark(document ? `${system}\n\n` : system, systemMark),
    document && mark(document, documentMark)].filter(Boolean);
  return {
    model: conversation.model,
    messages: [...(parts.length > 0 ? [{ role: "system", content: parts }] : []),
      ...conversation.messages],
    max_tokens: conversation.maxTokens,
    temperature: 0,
    ...(!conversation.cachePrompt && { cache_prompt: false }),
    stream: true,
    stream_options: { include_usage: true },
  };
}

function anthropicBody(conversation) {
  const mark = (text, ttl) => ({
    type: "text", text, ...(ttl && { cache_control: { type: "ephemeral", ttl } }),
  });
  const { system, document, systemMark, documentMark } = conversation;
  const blocks = [system && mark(system, systemMark), document && mark(document, documentMark)]
    .filter(Boolean);
  return {
    model: conversation.model,
    ...(blocks.length > 0 && { system: blocks }),
    messages: conversation.messages,
    max_tokens: conversation.maxTokens,
    temperature: 0,
    stream: true,
  };
}

// What an event brings: {text}, {usage: {read, computed, generated}} or {error}; each may be absent.
function readOpenai({ data }) {
  const { usage } = data;
  return {
    error: data.error?.message,
    text: data.choices?.[0]?.delta?.content,
    usage: usage && {
      read: usage.prompt_tokens_details.cached_tokens,
      computed: usage.prompt_tokens - usage.prompt_tokens_details.cached_tokens,
      generated: usage.completion_tokens,
    },
  };
}

function readAnthropic({ data }) {
  const usage = data.type === "message_delta" ? data.usage : data.message?.usage;
  return {
    error: data.error?.message,
    text: data.delta?.text,
    usage: usage && {
      read: usage.cache_read_input_tokens,
      computed: usage.cache_creation_input_tokens + usage.input_tokens,
      generated: usage.output_tokens,
    },
  };
}

// {read, computed} of the header that comes before the prompt is computed, or null.
export function readCacheHeader(headers) {
  const found = Object.fromEntries(
    (headers.get("x-reprise-cache") ?? "").split(/,\s*/).map((pair) => pair.split("=")));
  if (found.read === undefined) return null;
  return { read: Number(found.read), computed: Number(found.computed), generated: 0 };
}
