"""OpenAI's Responses API with the vendor's own client."""

import json

import jsonschema
import openai
import pytest

RESPONSES = "/v1/responses"
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["city", "days"],
}
TOOLS = [{"type": "function", "name": "get_weather", "description": "Of a city", "parameters": WEATHER}]
ASK = "What is the weather in Rome for 3 days?"


def test_a_response_has_the_vendors_shape(server):
    response = server.openai().responses.create(model="m", input=ASK, max_output_tokens=20, temperature=0)
    assert response.object == "response" and response.id.startswith("resp_")
    [message] = response.output
    assert message.type == "message" and message.role == "assistant" and response.output_text
    usage = response.usage
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    chat = server.openai().chat.completions.create(
        model="m", messages=[{"role": "user", "content": ASK}], max_tokens=20, temperature=0
    )
    assert response.output_text == chat.choices[0].message.content
    assert usage.input_tokens == chat.usage.prompt_tokens
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    whole = server.post(RESPONSES, {"input": "Say hi", "regex": None, "max_output_tokens": 500, "text": {"format": {"type": "json_schema", "name": "n", "schema": {"enum": [1, 2]}}}})
    assert whole["status"] == "completed" and whole["output"][0]["content"][0]["text"] in ("1", "2")


def test_a_streams_events_come_in_the_vendors_order(server):
    body = dict(model="m", input=ASK, max_output_tokens=8, temperature=0)
    whole = server.openai().responses.create(**body)
    events = list(server.openai().responses.create(**body, stream=True))
    names = [event.type.removeprefix("response.") for event in events]
    assert names[:4] == ["created", "in_progress", "output_item.added", "content_part.added"]
    assert names[-4:] == ["output_text.done", "content_part.done", "output_item.done", "incomplete"]
    assert set(names[4:-4]) == {"output_text.delta"}
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == whole.output_text == events[-1].response.output_text
    assert events[-1].response.usage.total_tokens == whole.usage.total_tokens


def test_calls_whole_and_streamed(server):
    body = dict(model="m", input=ASK, tools=TOOLS, tool_choice="required", max_output_tokens=100, temperature=0)
    response = server.openai().responses.create(**body)
    [call] = response.output
    assert call.type == "function_call" and call.call_id.startswith("call_") and call.name == "get_weather"
    arguments = json.loads(call.arguments)
    jsonschema.validate(arguments, WEATHER)
    assert response.status == "completed"
    events = list(server.openai().responses.create(**body, stream=True))
    names = [event.type.removeprefix("response.") for event in events]
    assert names[2] == "output_item.added"
    assert names[-3:] == ["function_call_arguments.done", "output_item.done", "completed"]
    deltas = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert len(deltas) > 2 and "".join(deltas) == call.arguments
    # The turn after it, once with all items and once by the response's id.
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    history = [{"role": "user", "content": ASK}, call.model_dump(), output]
    by_items = server.openai().responses.create(model="m", input=history, tools=TOOLS, max_output_tokens=4, temperature=0)
    by_id = server.openai().responses.create(
        model="m", previous_response_id=response.id, input=[output], tools=TOOLS, max_output_tokens=4, temperature=0
    )
    assert by_items.output_text == by_id.output_text and by_items.usage.input_tokens == by_id.usage.input_tokens


def read_all_before(server, response, question):
    """Whether no more was computed of a prompt than its last turn, which asks `question`."""
    turn = f"<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    computed = response.usage.input_tokens - response.usage.input_tokens_details.cached_tokens
    # The reply's last token may be another one before what follows. How many tokens a reply was drawn as says
    # nothing here: sent back as text, it may be fewer.
    return computed <= len(server.tokens(turn)) + 1


def test_what_goes_on_from_a_stored_response_reads_all_of_it(server):
    text = "A story that is told in the Responses API alone. " * 40
    client = server.openai()
    response = client.responses.create(model="m", input=text, max_output_tokens=30, temperature=1)
    for turn in range(3):
        server.wait_idle()
        question = f"And then, in part {turn}?"
        response = client.responses.create(
            model="m", previous_response_id=response.id, input=question, max_output_tokens=30, temperature=1
        )
        assert read_all_before(server, response, question)


def test_replies_of_unusual_tokens_are_gone_on_from_all_the_same(server):
    """Hot sampling spells words by tokens which their text is not tokenised to."""
    client = server.openai()
    parted = 0
    for seed in range(60):
        if seed >= 6 and parted:
            break
        text = f"Story {seed}, which is told in the Responses API alone. " * 20
        response = client.responses.create(model="m", input=text, max_output_tokens=40, temperature=2)
        drawn = response.usage.output_tokens - (response.status == "completed")
        parted += drawn != len(server.tokens(response.output_text, parse_special=False))
        server.wait_idle()
        response = client.responses.create(
            model="m", previous_response_id=response.id, input="Go on.", max_output_tokens=1
        )
        assert read_all_before(server, response, "Go on."), f"story {seed}"
    assert parted > 0, "no reply was tokenised otherwise, so nothing was tested"


def test_a_stored_responses_prefix_is_promised(start):
    """Others' prompts do not evict what a stored response can go on from."""
    server = start("--kv-memory", "80M", "--context", "1024")
    client = server.openai()
    text = "A story that nobody must forget. " * 60
    response = client.responses.create(model="m", input=text, max_output_tokens=20)
    server.wait_idle()
    for other in range(12):
        server.post("/v1/completions", {"prompt": f"{other} is the number of this text. " * 60, "max_tokens": 1})
    after = client.responses.create(model="m", previous_response_id=response.id, input="Go on.", max_output_tokens=4)
    assert read_all_before(server, after, "Go on.")


def test_stored_responses_are_fetched_deleted_and_private(guarded_server, server):
    client = server.openai()
    response = client.responses.create(model="m", input="hello", max_output_tokens=4)
    again = client.responses.retrieve(response.id)
    assert again.output_text == response.output_text and again.usage == response.usage
    client.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)
    with pytest.raises(openai.BadRequestError) as failed:
        client.responses.create(model="m", previous_response_id=response.id, input="x")
    assert failed.value.param == "previous_response_id"
    unstored = client.responses.create(model="m", input="hello", max_output_tokens=4, store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(unstored.id)


def test_instructions_roles_and_parts(server):
    items = [
        {"role": "developer", "content": "Be brief."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "c", "annotations": []}]},
        {"role": "user", "content": "d"},
    ]
    reply = server.post(RESPONSES, {"input": items, "instructions": "I", "max_output_tokens": 1})
    messages = [
        {"role": "system", "content": "I"},
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "ab"},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": "d"},
    ]
    chat = server.post("/v1/chat/completions", {"messages": messages, "max_tokens": 1})
    assert reply["usage"]["input_tokens"] == chat["usage"]["prompt_tokens"]
    assert reply["usage"]["input_tokens_details"]["cached_tokens"] <= chat["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert reply["instructions"] == "I"


def test_what_is_not_supported_is_said_and_what_the_vendor_runs_is_left_out(server):
    def fault(**body):
        status, _, reply = server.ask("POST", RESPONSES, {"input": "hi", "max_output_tokens": 2, **body})
        assert status == 400, reply
        return json.loads(reply)["error"]["param"]

    assert fault(input=[{"role": "user", "content": [{"type": "input_image"}]}]) == "input[0].content[0].type"
    assert fault(input=[{"type": "custom_tool_call"}]) == "input[0].type"
    assert fault(input=[]) == "input"
    assert fault(tools=[{"type": "custom", "name": "f"}]) == "tools[0]"
    assert fault(background=True) == "background"
    assert fault(text={"format": {"type": "json_schema"}}) == "text.format.schema"
    codex = {
        "tools": TOOLS + [{"type": "web_search"}, {"type": "namespace", "name": "n", "tools": []}],
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "low", "summary": "auto"},
        "prompt_cache_key": "k",
        "client_metadata": {"a": "b"},
        "store": False,
    }
    status, headers, _ = server.ask("POST", RESPONSES, {"input": "hi", "max_output_tokens": 2, **codex})
    assert status == 200 and headers["x-reprise-ignored"] == "tools[1] (web_search), tools[2] (namespace)"


def test_an_overflow_is_told_as_clients_know_it(server):
    status, _, reply = server.ask("POST", RESPONSES, {"input": "word " * 9000})
    error = json.loads(reply)["error"]
    assert status == 400 and error["code"] == "context_length_exceeded"
