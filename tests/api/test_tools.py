"""Calls of tools on the default model, which cannot write any by itself: they are forced."""

import json

import pytest

WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 20},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
    },
    "required": ["city", "days"],
}
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "Of a city", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "now"}},
]
ASK = [{"role": "user", "content": "What is the weather in Rome for 3 days?"}]
NAMED = {"type": "function", "function": {"name": "get_weather"}}
CHAT = "/v1/chat/completions"


def chat(server, **body):
    return server.post(CHAT, {"messages": ASK, "tools": TOOLS, "max_tokens": 100, "temperature": 0, **body})


def call_of(reply):
    choice = reply["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    [call] = choice["message"]["tool_calls"]
    assert call["id"].startswith("call_") and call["type"] == "function"
    return call["function"]["name"], json.loads(call["function"]["arguments"])


def is_weather(arguments):
    return set(arguments) == {"city", "days"} and isinstance(arguments["city"], str) and 1 <= arguments["days"] <= 9


def test_a_named_tool_is_called(server):
    name, arguments = call_of(chat(server, tool_choice=NAMED))
    assert name == "get_weather" and is_weather(arguments)
    assert call_of(chat(server, tool_choice={"type": "function", "function": {"name": "now"}})) == ("now", {})


def test_a_required_call_is_one_of_the_allowed_tools(server):
    for seed in range(5):
        name, _ = call_of(chat(server, tool_choice="required", temperature=1, seed=seed))
        assert name in ("get_weather", "now")
        allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "now"}}]}
        choice = {"type": "allowed_tools", "allowed_tools": allowed}
        assert call_of(chat(server, tool_choice=choice, temperature=1, seed=seed)) == ("now", {})


def test_several_calls_where_the_client_wants_them(server):
    reply = chat(server, tool_choice="required", parallel_tool_calls=True)
    calls = reply["choices"][0]["message"]["tool_calls"]
    assert len(calls) > 1 and len({call["id"] for call in calls}) == len(calls)


def test_a_stream_says_the_same_as_a_whole_reply(server):
    whole = chat(server, tool_choice=NAMED)["choices"][0]["message"]["tool_calls"][0]["function"]
    stream = server.openai().chat.completions.create(
        model="m", messages=ASK, tools=TOOLS, tool_choice=NAMED, max_tokens=100, temperature=0, stream=True
    )
    name, arguments, deltas, finish = None, "", 0, None
    for chunk in stream:
        choice = chunk.choices[0]
        finish = choice.finish_reason or finish
        for call in choice.delta.tool_calls or []:
            assert call.index == 0
            if call.id:
                name = call.function.name
            arguments += call.function.arguments or ""
            deltas += 1
    assert (name, arguments) == (whole["name"], whole["arguments"])
    assert deltas > 3 and finish == "tool_calls"


def test_anthropics_shape_whole_and_streamed(server):
    body = dict(
        model="m",
        max_tokens=100,
        messages=ASK,
        tools=[{"name": "get_weather", "input_schema": WEATHER}],
        tool_choice={"type": "any"},
        extra_body={"temperature": 0},
    )
    client = server.anthropic()
    message = client.messages.create(**body)
    [block] = message.content
    assert message.stop_reason == "tool_use" and block.id.startswith("toolu_")
    assert block.name == "get_weather" and is_weather(block.input)
    with client.messages.stream(**body) as stream:
        streamed = stream.get_final_message()
    assert streamed.content[0].input == block.input and streamed.stop_reason == "tool_use"
    body["tool_choice"] = {"type": "tool", "name": "get_weather"}
    assert client.messages.create(**body).content[0].input == block.input


def test_each_choice_calls(server):
    reply = chat(server, tool_choice=NAMED, n=3, temperature=1, seed=1)
    for choice in reply["choices"]:
        assert is_weather(json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"]))


def test_a_call_that_the_limit_cuts_is_told_by_the_reason(server):
    reply = chat(server, tool_choice=NAMED, max_tokens=20)
    assert reply["choices"][0]["finish_reason"] == "length"
    message = server.anthropic().messages.create(
        model="m",
        max_tokens=20,
        messages=ASK,
        tools=[{"name": "get_weather", "input_schema": WEATHER}],
        tool_choice={"type": "any"},
    )
    assert message.stop_reason == "max_tokens"
    assert all(block.type == "text" for block in message.content)


def test_functions_as_they_were_before_tools(server):
    functions = [tool["function"] for tool in TOOLS]
    body = {"messages": ASK, "functions": functions, "function_call": {"name": "get_weather"}, "max_tokens": 100}
    choice = server.post(CHAT, body)["choices"][0]
    assert choice["finish_reason"] == "function_call"
    assert is_weather(json.loads(choice["message"]["function_call"]["arguments"]))
    history = ASK + [choice["message"], {"role": "function", "name": "get_weather", "content": "sunny"}]
    assert server.post(CHAT, {"messages": history, "functions": functions, "max_tokens": 4})


def test_what_is_wanted_wrongly_is_said(server):
    def fault(**body):
        status, _, reply = server.ask("POST", CHAT, {"messages": ASK, "max_tokens": 9, **body})
        assert status == 400
        return json.loads(reply)["error"]

    assert fault(tool_choice="required")["param"] == "tool_choice"
    missing = {"type": "function", "function": {"name": "missing"}}
    assert "'missing'" in fault(tools=TOOLS, tool_choice=missing)["message"]
    assert fault(tools=TOOLS, tool_choice="required", regex="a")["param"] == "tool_choice"
    broken = [{"type": "function", "function": {"name": "f", "parameters": {"type": "nonsense"}}}]
    assert "parameters of f" in fault(tools=broken, tool_choice="required")["message"]
    status, _, reply = server.ask(
        "POST", "/v1/messages", {"messages": ASK, "max_tokens": 9, "tool_choice": {"type": "perhaps"}}
    )
    assert status == 400 and b"tool_choice.type" in reply


def test_a_forced_call_reads_what_a_free_reply_read(server):
    """Neither the choice nor the form of a reply is part of the cache's key."""
    reads = []
    text = "A conversation of its own about the weather. " * 30
    messages = [{"role": "system", "content": text}] + ASK
    for choice in (None, "auto", "none", "required", NAMED):
        reply = chat(server, messages=messages, tool_choice=choice)
        reads.append(reply["usage"]["prompt_tokens_details"]["cached_tokens"])
        prompt = reply["usage"]["prompt_tokens"]
    assert reads[1:] == [prompt] * 4


@pytest.mark.parametrize("tool_format", ["hermes", "qwen3-coder", "llama", "pythonic"])
def test_every_format_can_be_forced(tool_format, start):
    name, arguments = call_of(chat(start("--tool-format", tool_format), tool_choice=NAMED))
    assert name == "get_weather" and is_weather(arguments)
