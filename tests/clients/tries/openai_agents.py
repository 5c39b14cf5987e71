"""openai-agents: its default, the Responses API, and chat completions."""

import asyncio

import openai
import pydantic
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from common import *

set_tracing_disabled(True)
seen = []


def models():
    """Each time anew: their client belongs to one event loop."""
    for kind in (OpenAIResponsesModel, OpenAIChatCompletionsModel):
        yield kind("m", openai.AsyncOpenAI(base_url=URL + "/v1", api_key="none", max_retries=0))


@function_tool
def get_weather(city: str, days: int) -> str:
    """The weather of a city."""
    seen.append({"city": city, "days": days})
    return "sunny"


def each(case):
    def both():
        for model in models():
            case(lambda **options: Agent(name="a", instructions="Be kind.", model=model, **options))
    return both


@each
def chat(agent):
    script(HELLO)
    assert Runner.run_sync(agent(), ASK).final_output == HELLO


@each
def stream(agent):
    async def pieces():
        result = Runner.run_streamed(agent(), ASK)
        return [
            event.data.delta
            async for event in result.stream_events()
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
        ]

    script(HELLO)
    assert "".join(asyncio.run(pieces())) == HELLO


@each
def tools(agent):
    script(CALL, HELLO)
    seen.clear()
    assert Runner.run_sync(agent(tools=[get_weather]), ASK).final_output == HELLO
    assert seen == [ARGUMENTS]


@each
def forced(agent):
    seen.clear()
    settings = ModelSettings(tool_choice="required", max_tokens=300)
    Runner.run_sync(agent(tools=[get_weather], model_settings=settings, tool_use_behavior="stop_on_first_tool"), ASK)
    assert set(seen[0]) == {"city", "days"}


@each
def schema(agent):
    class Weather(pydantic.BaseModel):
        city: str = pydantic.Field(max_length=20)
        days: int

    assert isinstance(Runner.run_sync(agent(output_type=Weather), ASK).final_output, Weather)


@each
def thinking(agent):
    script(THOUGHT)
    assert Runner.run_sync(agent(), ASK).final_output == HELLO


@each
def cached(agent):
    script(HELLO, HELLO)
    for _ in range(2):
        result = Runner.run_sync(agent(), LONG)
    assert result.context_wrapper.usage.input_tokens_details.cached_tokens > 300


run(globals())
