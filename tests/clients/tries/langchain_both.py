"""langchain-openai (chat and responses) and langchain-anthropic."""

import pydantic
from common import *
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

OPTIONS = {"model": "m", "api_key": "none", "max_retries": 0}
CHAT = ChatOpenAI(base_url=URL + "/v1", max_tokens=300, stream_usage=True, **OPTIONS)
RESPONSES = ChatOpenAI(base_url=URL + "/v1", max_tokens=300, use_responses_api=True, **OPTIONS)
MESSAGES = ChatAnthropic(base_url=URL, max_tokens=300, **OPTIONS)


@tool
def get_weather(city: str, days: int) -> str:
    """The weather of a city."""
    return "sunny"


def each(case):
    def all_of_them():
        for model in (CHAT, RESPONSES, MESSAGES):
            case(model)
    return all_of_them


@each
def chat(model):
    script(HELLO)
    assert model.invoke(ASK).text == HELLO


@each
def stream(model):
    script(HELLO)
    assert "".join(chunk.text for chunk in model.stream(ASK)) == HELLO


@each
def tools(model):
    script(CALL, HELLO)
    agent = model.bind_tools([get_weather])
    reply = agent.invoke(ASK)
    [call] = reply.tool_calls
    assert call["name"] == "get_weather" and call["args"] == ARGUMENTS
    history = [HumanMessage(ASK), reply, ToolMessage("sunny", tool_call_id=call["id"])]
    assert agent.invoke(history).text == HELLO


@each
def forced(model):
    [call] = model.bind_tools([get_weather], tool_choice="get_weather").invoke(ASK).tool_calls
    assert set(call["args"]) == {"city", "days"}


@each
def schema(model):
    class Weather(pydantic.BaseModel):
        """The weather."""

        city: str
        days: int

    assert isinstance(model.with_structured_output(Weather, method="json_schema").invoke(ASK), Weather)
    assert isinstance(model.with_structured_output(Weather, method="function_calling").invoke(ASK), Weather)


@each
def thinking(model):
    script(THOUGHT)
    reply = model.invoke(ASK)
    assert reply.text == HELLO
    if model is MESSAGES:
        assert reply.content[0]["thinking"] == THINKING


@each
def cached(model):
    for _ in range(2):
        reply = model.invoke(LONG)
    assert reply.usage_metadata["input_token_details"]["cache_read"] > 300


run(globals())
