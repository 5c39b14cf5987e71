"""llama-index, OpenAILike."""

from common import *
from llama_index.core.llms import ChatMessage
from llama_index.core.program import FunctionCallingProgram
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

MODEL = OpenAILike(
    model="m",
    api_base=URL + "/v1",
    api_key="none",
    is_chat_model=True,
    is_function_calling_model=True,
    max_retries=0,
    max_tokens=300,
)


def get_weather(city: str, days: int) -> str:
    """The weather of a city."""
    return "sunny"


TOOL = FunctionTool.from_defaults(get_weather)


def chat():
    script(HELLO)
    assert MODEL.chat([ChatMessage(role="user", content=ASK)]).message.content == HELLO


def stream():
    script(HELLO)
    assert "".join(piece.delta for piece in MODEL.stream_chat([ChatMessage(role="user", content=ASK)])) == HELLO


def tools():
    script(CALL)
    reply = MODEL.chat_with_tools([TOOL], user_msg=ASK)
    [call] = MODEL.get_tool_calls_from_response(reply)
    assert call.tool_name == "get_weather" and call.tool_kwargs == ARGUMENTS


def forced():
    reply = MODEL.chat_with_tools([TOOL], user_msg=ASK, tool_required=True)
    [call] = MODEL.get_tool_calls_from_response(reply)
    assert set(call.tool_kwargs) == {"city", "days"}


def schema():
    class Weather(BaseModel):
        """The weather."""

        city: str
        days: int

    program = FunctionCallingProgram.from_defaults(
        output_cls=Weather, llm=MODEL, prompt_template_str=ASK, tool_required=True
    )
    assert isinstance(program(), Weather)


def thinking():
    script(THOUGHT)
    assert MODEL.chat([ChatMessage(role="user", content=ASK)]).message.content == HELLO


def cached():
    for _ in range(2):
        reply = MODEL.chat([ChatMessage(role="user", content=LONG)])
    assert reply.raw.usage.prompt_tokens_details.cached_tokens > 300


run(globals())
