"""openai, responses."""

import json

import openai
import pydantic
from common import *

client = openai.OpenAI(base_url=URL + "/v1", api_key="none", max_retries=0)
TOOLS = [{"type": "function", "name": "get_weather", "parameters": WEATHER, "strict": True}]


def ask(**options):
    return client.responses.create(model="m", **{"input": ASK, **options})


def chat():
    script(HELLO)
    assert ask().output_text == HELLO


def stream():
    script(HELLO)
    with client.responses.stream(model="m", input=ASK) as events:
        deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
        assert "".join(deltas) == HELLO == events.get_final_response().output_text


def tools():
    script(CALL, HELLO)
    response = ask(tools=TOOLS)
    [call] = response.output
    assert call.name == "get_weather" and json.loads(call.arguments) == ARGUMENTS
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    assert ask(tools=TOOLS, previous_response_id=response.id, input=[output]).output_text == HELLO


def forced():
    [call] = ask(tools=TOOLS, tool_choice="required").output
    is_weather(json.loads(call.arguments))


def schema():
    class Weather(pydantic.BaseModel):
        city: str = pydantic.Field(max_length=20)
        days: int

    assert isinstance(client.responses.parse(model="m", input=ASK, text_format=Weather).output_parsed, Weather)


def thinking():
    script(THOUGHT)
    response = ask()
    assert response.output[0].content[0].text == THINKING and response.output_text == HELLO
    assert response.usage.output_tokens_details.reasoning_tokens > 0


def cached():
    for _ in range(2):
        response = ask(input=LONG, max_output_tokens=1)
    assert response.usage.input_tokens_details.cached_tokens == response.usage.input_tokens


run(globals())
