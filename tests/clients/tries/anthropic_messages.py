"""anthropic, messages."""

import anthropic
import pydantic
from common import *

client = anthropic.Anthropic(base_url=URL, api_key="none", max_retries=0)
TOOLS = [{"name": "get_weather", "input_schema": WEATHER}]
MESSAGES = [{"role": "user", "content": ASK}]


def ask(**options):
    return client.messages.create(**{"model": "m", "max_tokens": 200, "messages": MESSAGES, **options})


def chat():
    script(HELLO)
    assert ask().content[0].text == HELLO


def stream():
    script(HELLO)
    with client.messages.stream(model="m", max_tokens=200, messages=MESSAGES) as events:
        assert "".join(events.text_stream) == HELLO


def tools():
    script(CALL, HELLO)
    reply = ask(tools=TOOLS)
    [block] = reply.content
    assert (block.name, block.input, reply.stop_reason) == ("get_weather", ARGUMENTS, "tool_use")
    result = {"type": "tool_result", "tool_use_id": block.id, "content": "sunny"}
    history = MESSAGES + [{"role": "assistant", "content": reply.content}, {"role": "user", "content": [result]}]
    assert ask(tools=TOOLS, messages=history).content[0].text == HELLO


def forced():
    is_weather(ask(tools=TOOLS, tool_choice={"type": "tool", "name": "get_weather"}).content[0].input)


def schema():
    class Weather(pydantic.BaseModel):
        city: str
        days: int

    parsed = client.messages.parse(model="m", max_tokens=500, messages=MESSAGES, output_format=Weather)
    assert isinstance(parsed.parsed_output, Weather)


def thinking():
    script(THOUGHT)
    reply = ask(thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2000)
    assert reply.content[0].thinking == THINKING and reply.content[1].text == HELLO
    script(HELLO)
    history = MESSAGES + [{"role": "assistant", "content": reply.content}, {"role": "user", "content": "Go on."}]
    assert ask(messages=history).content[0].text == HELLO


def cached():
    for _ in range(2):
        reply = ask(messages=[{"role": "user", "content": LONG}], max_tokens=1)
    assert reply.usage.cache_read_input_tokens > 300 and reply.usage.input_tokens == 0


run(globals())
