"""instructor: structured output by tools and by schema, over both vendors' clients."""

import anthropic
import instructor
import openai
import pydantic
from common import *

OPENAI = openai.OpenAI(base_url=URL + "/v1", api_key="none", max_retries=0)
ANTHROPIC = anthropic.Anthropic(base_url=URL, api_key="none", max_retries=0)
MESSAGES = [{"role": "user", "content": ASK}]


class Weather(pydantic.BaseModel):
    """The weather."""

    city: str
    days: int


def forced():
    client = instructor.from_openai(OPENAI, mode=instructor.Mode.TOOLS)
    reply = client.chat.completions.create(model="m", messages=MESSAGES, response_model=Weather, max_retries=0)
    assert isinstance(reply, Weather)
    client = instructor.from_anthropic(ANTHROPIC, mode=instructor.Mode.ANTHROPIC_TOOLS)
    reply = client.messages.create(model="m", max_tokens=500, messages=MESSAGES, response_model=Weather, max_retries=0)
    assert isinstance(reply, Weather)


def schema():
    for mode in (instructor.Mode.JSON_SCHEMA, instructor.Mode.JSON):
        script('{"city": "Rome", "days": 3}') if mode == instructor.Mode.JSON else None
        client = instructor.from_openai(OPENAI, mode=mode)
        reply = client.chat.completions.create(model="m", messages=MESSAGES, response_model=Weather, max_retries=0)
        assert isinstance(reply, Weather)


run(globals())
