"""openai, chat completions."""

import json

import openai
import pydantic
from common import *

client = openai.OpenAI(base_url=URL + "/v1", api_key="none", max_retries=0)
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}]
MESSAGES = [{"role": "user", "content": ASK}]


def ask(**options):
    return client.chat.completions.create(model="m", messages=options.pop("messages", MESSAGES), **options)


def chat():
    script(HELLO)
    assert ask().choices[0].message.content == HELLO


def stream():
    script(HELLO)
    pieces = [chunk.choices[0].delta.content or "" for chunk in ask(stream=True)]
    assert "".join(pieces) == HELLO and len(pieces) > 3


def tools():
    script(CALL, HELLO)
    message = ask(tools=TOOLS).choices[0].message
    [call] = message.tool_calls
    assert call.function.name == "get_weather" and json.loads(call.function.arguments) == ARGUMENTS
    history = MESSAGES + [message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    assert ask(tools=TOOLS, messages=history).choices[0].message.content == HELLO


def forced():
    message = ask(tools=TOOLS, tool_choice="required").choices[0].message
    is_weather(json.loads(message.tool_calls[0].function.arguments))


def schema():
    class Weather(pydantic.BaseModel):
        city: str = pydantic.Field(max_length=20)
        days: int

    parsed = client.chat.completions.parse(model="m", messages=MESSAGES, response_format=Weather)
    assert isinstance(parsed.choices[0].message.parsed, Weather)


def thinking():
    script(THOUGHT)
    reply = ask()
    assert reply.choices[0].message.reasoning_content == THINKING and reply.choices[0].message.content == HELLO
    assert reply.usage.completion_tokens_details.reasoning_tokens > 0


def cached():
    for _ in range(2):
        reply = ask(messages=[{"role": "user", "content": LONG}], max_tokens=1)
    assert reply.usage.prompt_tokens_details.cached_tokens == reply.usage.prompt_tokens


run(globals())
