"""litellm, through both vendors' APIs."""

import json
import warnings

import litellm
import pydantic
from common import *

warnings.filterwarnings("ignore")
litellm.suppress_debug_info = True
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}]
MESSAGES = [{"role": "user", "content": ASK}]
WAYS = ({"model": "openai/m", "api_base": URL + "/v1"}, {"model": "anthropic/m", "api_base": URL})


def each(case):
    def both():
        for way in WAYS:
            case(lambda **options: litellm.completion(
                **way, api_key="none", num_retries=0, **{"messages": MESSAGES, "max_tokens": 200, **options}))
    return both


@each
def chat(ask):
    script(HELLO)
    assert ask().choices[0].message.content == HELLO


@each
def stream(ask):
    script(HELLO)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in ask(stream=True)) == HELLO


@each
def tools(ask):
    script(CALL, HELLO)
    message = ask(tools=TOOLS).choices[0].message
    [call] = message.tool_calls
    assert call.function.name == "get_weather" and json.loads(call.function.arguments) == ARGUMENTS
    history = MESSAGES + [message.model_dump(), {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    assert ask(tools=TOOLS, messages=history).choices[0].message.content == HELLO


@each
def forced(ask):
    message = ask(tools=TOOLS, tool_choice="required").choices[0].message
    is_weather(json.loads(message.tool_calls[0].function.arguments))


@each
def schema(ask):
    class Weather(pydantic.BaseModel):
        city: str
        days: int

    Weather.model_validate_json(ask(response_format=Weather, max_tokens=500).choices[0].message.content)


@each
def thinking(ask):
    script(THOUGHT)
    message = ask().choices[0].message
    assert message.reasoning_content == THINKING and message.content == HELLO


@each
def cached(ask):
    for _ in range(2):
        reply = ask(messages=[{"role": "user", "content": LONG}], max_tokens=1)
    assert reply.usage.prompt_tokens_details.cached_tokens > 300


run(globals())
