// Vercel's ai with @ai-sdk/openai (responses and chat), @ai-sdk/openai-compatible and @ai-sdk/anthropic. The same
// cases as the Python clients' (common.py), printed in the same way. usage: node ai_sdk.mjs URL MODULES

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [url, modules] = process.argv.slice(2);
const require = createRequire(modules + "/");
const load = async (name) => import(pathToFileURL(require.resolve(name)).href);
const { generateText, streamText, tool, Output, stepCountIs } = await load("ai");
const { z } = await load("zod");
const { createOpenAI } = await load("@ai-sdk/openai");
const { createOpenAICompatible } = await load("@ai-sdk/openai-compatible");
const { createAnthropic } = await load("@ai-sdk/anthropic");

const HELLO = "Hello there, friend.";
const ASK = "What is the weather in Rome for 3 days?";
const CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome", "days": 3}}\n</tool_call>';
const THOUGHT = "<think>\nLet me think.\n</think>\n\n" + HELLO;
const LONG = "This text is the beginning of many conversations. ".repeat(40);

const openai = createOpenAI({ baseURL: url + "/v1", apiKey: "none" });
const compatible = createOpenAICompatible({
  name: "reprise", baseURL: url + "/v1", apiKey: "none", includeUsage: true, supportsStructuredOutputs: true,
});
const anthropic = createAnthropic({ baseURL: url + "/v1", apiKey: "none" });
const MODELS = [openai.responses("m"), openai.chat("m"), compatible("m"), anthropic("m")];
const OPTIONS = { maxRetries: 0, maxOutputTokens: 500 };

const script = (...replies) =>
  fetch(url + "/test/script", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ replies }),
  });
const check = (holds, what) => {
  if (!holds) throw new Error(JSON.stringify(what));
};
const weather = (seen = []) =>
  tool({
    description: "The weather of a city",
    inputSchema: z.object({ city: z.string(), days: z.number().int() }),
    execute: async (input) => (seen.push(input), "sunny"),
  });

const cases = {
  async chat(model) {
    await script(HELLO);
    const { text } = await generateText({ model, prompt: ASK, ...OPTIONS });
    check(text === HELLO, text);
  },
  async stream(model) {
    await script(HELLO);
    let text = "";
    for await (const piece of streamText({ model, prompt: ASK, ...OPTIONS }).textStream) text += piece;
    check(text === HELLO, text);
  },
  async tools(model) {
    const seen = [];
    await script(CALL, HELLO);
    const { text } = await generateText({
      model, prompt: ASK, tools: { get_weather: weather(seen) }, stopWhen: stepCountIs(3), ...OPTIONS,
    });
    check(text === HELLO && JSON.stringify(seen) === '[{"city":"Rome","days":3}]', [text, seen]);
  },
  async forced(model) {
    const { toolCalls } = await generateText({
      model, prompt: ASK, tools: { get_weather: weather() }, toolChoice: "required", ...OPTIONS,
    });
    check(toolCalls.length === 1 && Number.isInteger(toolCalls[0].input.days), toolCalls);
  },
  async schema(model) {
    const schema = z.object({ city: z.string(), days: z.number() });
    const { output } = await generateText({ model, prompt: ASK, output: Output.object({ schema }), ...OPTIONS });
    check(typeof output.city === "string" && typeof output.days === "number", output);
  },
  async thinking(model) {
    await script(THOUGHT);
    const { text, reasoningText } = await generateText({ model, prompt: ASK, ...OPTIONS });
    check(text === HELLO, text);
    // The vendor's own chat client knows no thinking, its responses client a summary only.
    if (model.provider.startsWith("reprise") || model.provider.startsWith("anthropic")) {
      check(reasoningText === "Let me think.", reasoningText);
    }
  },
  async cached(model) {
    let usage;
    for (let i = 0; i < 2; ++i) ({ usage } = await generateText({ model, prompt: LONG, ...OPTIONS, maxOutputTokens: 16 }));
    const read = usage.inputTokenDetails?.cacheReadTokens ?? usage.cachedInputTokens;
    check(read > 300, usage);
  },
};

const results = {};
for (const [name, run] of Object.entries(cases)) {
  results[name] = true;
  for (const model of MODELS) {
    try {
      await run(model);
    } catch (error) {
      results[name] = `${model.provider}: ${error.message}`.slice(0, 1500);
    }
  }
}
console.log(JSON.stringify(results));
