"""pydantic-ai over chat, responses and messages."""

import asyncio

import pydantic
from common import *
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.messages import ThinkingPart
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

OPENAI = OpenAIProvider(base_url=URL + "/v1", api_key="none")
MODELS = (
    OpenAIChatModel("m", provider=OPENAI),
    OpenAIResponsesModel("m", provider=OPENAI),
    AnthropicModel("claude-sonnet-4-5", provider=AnthropicProvider(base_url=URL, api_key="none")),
)


class Weather(pydantic.BaseModel):
    """The weather."""

    city: str
    days: int


def each(case):
    def all_of_them():
        for model in MODELS:
            case(lambda **options: Agent(model, model_settings={"max_tokens": 500}, **options))
    return all_of_them


@each
def chat(agent):
    script(HELLO)
    assert agent().run_sync(ASK).output == HELLO


@each
def stream(agent):
    async def text():
        async with agent().run_stream(ASK) as result:
            return "".join([piece async for piece in result.stream_text(delta=True)])

    script(HELLO)
    assert asyncio.run(text()) == HELLO


@each
def tools(agent):
    seen = []
    caller = agent()

    @caller.tool_plain
    def get_weather(city: str, days: int) -> str:
        seen.append({"city": city, "days": days})
        return "sunny"

    script(CALL, HELLO)
    assert caller.run_sync(ASK).output == HELLO and seen == [ARGUMENTS]


@each
def forced(agent):
    assert isinstance(agent(output_type=Weather).run_sync(ASK).output, Weather)


@each
def schema(agent):
    assert isinstance(agent(output_type=NativeOutput(Weather)).run_sync(ASK).output, Weather)


@each
def thinking(agent):
    script(THOUGHT)
    result = agent().run_sync(ASK)
    assert result.output == HELLO
    parts = [part for message in result.all_messages() for part in message.parts]
    assert any(isinstance(part, ThinkingPart) for part in parts)


@each
def cached(agent):
    for _ in range(2):
        usage = agent().run_sync(LONG).usage
    assert usage.cache_read_tokens > 300


run(globals())
