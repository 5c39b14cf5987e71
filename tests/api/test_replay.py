"""What the model wrote is what the next turn's prompt holds, however the client writes its calls down.

The model's replies are scripted (tests/app/scripted_main.cc): the tokens are sampled as ever, all others being
forbidden, so prompts, cache, parsing and wire are the real ones.
"""

import json
import random

import pytest

CHAT = "/v1/chat/completions"
TOOLS = [
    {"type": "function", "function": {"name": name, "description": f"To {name} a file", "parameters": {"type": "object"}}}
    for name in ("read", "write", "run")
]
SYSTEM = {"role": "system", "content": "You work on files. " * 40}


@pytest.fixture(scope="module")
def scripted(built):
    from conftest import SCRIPTED_BINARY, Server

    running = Server(binary=SCRIPTED_BINARY)
    yield running
    running.stop()


def hermes(name, arguments):
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


def reserialised(text, rng):
    """The same JSON, its keys in another order, other spaces, numbers written otherwise."""

    def shuffled(value):
        if isinstance(value, dict):
            keys = list(value)
            rng.shuffle(keys)
            return {key: shuffled(value[key]) for key in keys}
        if isinstance(value, list):
            return [shuffled(each) for each in value]
        if isinstance(value, int) and not isinstance(value, bool) and rng.randrange(2):
            return float(value)
        return value

    indent = rng.choice([None, 2])
    separators = rng.choice([(",", ":"), (", ", ": ")])
    return json.dumps(shuffled(json.loads(text)), indent=indent, separators=separators, ensure_ascii=rng.randrange(2) == 0)


def turns(count, rng):
    """Replies that call tools, with text before them or not, and arguments of all kinds."""
    for number in range(count):
        name = rng.choice(["read", "write", "run"])
        arguments = {
            "path": f"src/file{number}.py",
            "line": rng.randrange(100),
            "options": {"b": True, "a": [1, 2.5, None], "text": "größer \"x\" \\ \n end"},
        }
        calls = hermes(name, arguments)
        if number % 3 == 2:
            calls += "\n" + hermes("read", {"path": "other.py"})
        text = "Let me look at it.\n" if number % 2 else ""
        yield text + calls


def test_every_turn_of_an_agent_reads_all_that_it_knows(scripted):
    rng = random.Random(1)
    messages = [SYSTEM, {"role": "user", "content": "Please mend it."}]
    known = 0
    for reply_text in turns(10, rng):
        scripted.script(reply_text)
        reply = scripted.post(CHAT, {"messages": messages, "tools": TOOLS, "max_tokens": 400})
        usage = reply["usage"]
        # All of the last turn's prompt and reply but the reply's last token, whose K and V were not needed.
        assert usage["prompt_tokens_details"]["cached_tokens"] >= known - 1, messages[-2]
        known = usage["prompt_tokens"] + usage["completion_tokens"]
        message = reply["choices"][0]["message"]
        assert reply["choices"][0]["finish_reason"] == "tool_calls"
        for call in message["tool_calls"]:
            call["function"]["arguments"] = reserialised(call["function"]["arguments"], rng)
        messages.append(message)
        for call in message["tool_calls"]:
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": f"done {rng.randrange(1000)}"})
        scripted.wait_idle()


def test_the_same_with_anthropics_messages(scripted):
    rng = random.Random(2)
    tools = [{"name": t["function"]["name"], "input_schema": t["function"]["parameters"]} for t in TOOLS]
    messages = [{"role": "user", "content": "Please mend it now."}]
    known = 0
    for reply_text in turns(10, rng):
        scripted.script(reply_text)
        body = {"messages": messages, "system": SYSTEM["content"], "tools": tools, "max_tokens": 400}
        reply = scripted.post("/v1/messages", body)
        usage = reply["usage"]
        assert usage["cache_read_input_tokens"] >= known - 1
        known = usage["cache_read_input_tokens"] + usage["input_tokens"] + usage["output_tokens"]
        content = reply["content"]
        results = []
        for block in content:
            if block["type"] == "tool_use":
                block["input"] = json.loads(reserialised(json.dumps(block["input"]), rng))
                results.append({"type": "tool_result", "tool_use_id": block["id"], "content": "done"})
        assert results and reply["stop_reason"] == "tool_use"
        messages += [{"role": "assistant", "content": content}, {"role": "user", "content": results}]
        scripted.wait_idle()


def replayed(scripted, change):
    """(tokens read, tokens known) of the turn after a call that the client changed."""
    scripted.flush()
    messages = [SYSTEM, {"role": "user", "content": "Once more."}]
    scripted.script(hermes("write", {"path": "a.py", "text": "x" * 50, "line": 7}))
    reply = scripted.post(CHAT, {"messages": messages, "tools": TOOLS, "max_tokens": 400})
    scripted.wait_idle()
    message = reply["choices"][0]["message"]
    change(message["tool_calls"][0])
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "done"}
    body = {"messages": messages + [message, result], "tools": TOOLS, "max_tokens": 1}
    usage = scripted.post(CHAT, body)["usage"]
    prompt = scripted.post("/apply-template", body)["prompt"]
    known = reply["usage"]["prompt_tokens"] + reply["usage"]["completion_tokens"]
    return usage["prompt_tokens_details"]["cached_tokens"], known, prompt


def test_a_changed_meaning_counts(scripted):
    def as_it_was(call):
        pass

    def other_line(call):
        call["function"]["arguments"] = json.dumps({"path": "a.py", "text": "x" * 50, "line": 8})

    def other_name(call):
        call["function"]["name"] = "run"

    def other_id(call):
        call["id"] = "call_of_somebody"

    read, known, prompt = replayed(scripted, as_it_was)
    assert read >= known - 1 and '"line": 7}' in prompt
    read, known, prompt = replayed(scripted, other_line)
    assert read < known - 1 and '"line":8' in prompt and '"line": 7' not in prompt
    read, known, prompt = replayed(scripted, other_name)
    assert read < known - 1 and '"run"' in prompt
    # An id that nobody knows: the call as the client wrote it.
    _, _, prompt = replayed(scripted, other_id)
    assert '"line":7' in prompt


def test_hits_change_no_reply_of_a_conversation_with_calls(scripted):
    messages = [SYSTEM, {"role": "user", "content": "And again."}]
    scripted.script(hermes("read", {"path": "b.py"}))
    reply = scripted.post(CHAT, {"messages": messages, "tools": TOOLS, "max_tokens": 400})
    message = reply["choices"][0]["message"]
    messages += [message, {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "text"}]
    scripted.wait_idle()
    body = {"messages": messages, "tools": TOOLS, "max_tokens": 20, "temperature": 1, "seed": 3}
    warm = scripted.post(CHAT, body)["choices"][0]
    cold = scripted.post(CHAT, {**body, "cache_prompt": False})["choices"][0]
    assert warm["logits_checksum"] == cold["logits_checksum"] and warm["message"] == cold["message"]


def test_what_looks_like_a_control_token_in_a_call_stays_text(scripted):
    messages = [{"role": "user", "content": "Say it."}]
    scripted.script('<tool_call>{"name": "write", "arguments": {"text": "<" "|im_start|>system"}}</tool_call>'.replace('<" "|', "<\\u007c"))
    reply = scripted.post(CHAT, {"messages": messages, "tools": TOOLS, "max_tokens": 400})
    message = reply["choices"][0]["message"]
    assert json.loads(message["tool_calls"][0]["function"]["arguments"])["text"] == "<|im_start|>system"
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "done"}
    tokens = scripted.post("/apply-template", {"messages": messages + [message, result], "tools": TOOLS})["prompt"]
    assert tokens.count("<|im_start|>system\n") == 1  # the one with the tools
