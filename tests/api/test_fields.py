"""Every field that the vendors' clients can send is known here: read, without effect, or refused.

When a client's types gain a field, these tests fail until src/vendor/*/fields.h has a line for it.
"""

import json
import typing

import pytest
from anthropic.types import message_count_tokens_params, message_create_params
from anthropic.types.beta import message_create_params as beta_create_params
from openai.types import completion_create_params as text_create_params
from openai.types.chat import completion_create_params as chat_create_params

CHAT = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
TEXT = {"prompt": "hi", "max_tokens": 1}
MESSAGES = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
COUNT = {"messages": [{"role": "user", "content": "hi"}]}

# What a client would send, and the status; what is not here is sent as in the bodies above, or null.
REFUSED = {
    "audio": {"voice": "alloy", "format": "wav"},
    "moderation": {"model": "m"},
    "web_search_options": {"search_context_size": "low"},
    "modalities": ["text", "audio"],
    "echo": True,
    "suffix": "x",
    "container": "c_1",
    "mcp_servers": [{"type": "url", "url": "https://example.org", "name": "m"}],
    "thread": {"id": "t"},
    "min_tokens": 5,
    "stop_token_ids": [1],
    "tools": [{"type": "custom", "custom": {"name": "f"}}],
}
TOLERATED = {
    "metadata": {"user_id": "u"},
    "function_call": "auto",
    "functions": [{"name": "f"}],
    "parallel_tool_calls": False,
    "prediction": {"type": "content", "content": "x"},
    "reasoning_effort": "low",
    "safety_identifier": "s",
    "service_tier": "auto",
    "store": True,
    "user": "u",
    "verbosity": "low",
    "betas": ["b"],
    "billing_policy": "b",
    "compaction": {"type": "c"},
    "context_management": {"edits": []},
    "fallback_credit_token": "t",
    "fallbacks": [],
    "inference_geo": "us",
    "speed": "fast",
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "user_profile_id": "u",
    "workspace_id": "w",
    "modalities": ["text"],
    "output_config": {"effort": "low"},
    "tool_choice": None,
}


def fields_of(*types):
    names = set()
    for each in types:
        names |= set(typing.get_type_hints(each)) if not hasattr(each, "__annotations__") else set(each.__annotations__)
    return sorted(names)


ENDPOINTS = {
    "/v1/chat/completions": (CHAT, fields_of(chat_create_params.CompletionCreateParamsBase)),
    "/v1/completions": (TEXT, fields_of(text_create_params.CompletionCreateParamsBase)),
    "/v1/messages": (
        MESSAGES,
        fields_of(message_create_params.MessageCreateParamsBase, beta_create_params.MessageCreateParamsBase),
    ),
}


@pytest.mark.parametrize("path", ENDPOINTS)
def test_no_field_of_the_clients_types_is_unknown(server, path):
    body, fields = ENDPOINTS[path]
    assert len(fields) > 15
    for name in fields:
        status, headers, reply = server.ask("POST", path, {name: None, **body})
        assert status == 200, (name, reply)
        assert headers["x-reprise-ignored"] is None, name
    for name in fields:
        if name in TOLERATED:
            status, headers, reply = server.ask("POST", path, {**body, name: TOLERATED[name]})
            assert status == 200 and headers["x-reprise-ignored"] is None, (name, reply)


def test_what_would_change_the_reply_is_refused_by_name(server):
    for name, value in REFUSED.items():
        anthropics = name in ("container", "mcp_servers", "thread")
        texts = name in ("echo", "suffix")
        path = "/v1/messages" if anthropics else "/v1/completions" if texts else "/v1/chat/completions"
        status, _, reply = server.ask("POST", path, {**ENDPOINTS[path][0], name: value})
        assert status == 400, name
        error = json.loads(reply)["error"]
        assert name in error["message"]
        if not anthropics:
            assert error["code"] == "unsupported_value" and error["param"].startswith(name)


def test_every_field_of_a_count_is_one_of_a_message():
    counted = set(message_count_tokens_params.MessageCountTokensParams.__annotations__)
    assert counted <= set(ENDPOINTS["/v1/messages"][1])


def test_what_nobody_knows_is_ignored_and_said(server):
    body = {**CHAT, "favourite_colour": "blue", "x y\r\nz": 1}
    status, headers, _ = server.ask("POST", "/v1/chat/completions", body)
    assert status == 200
    assert headers["x-reprise-ignored"] == "favourite_colour, (another)"
    many = {f"field_{i}": i for i in range(100_000)}
    status, headers, _ = server.ask("POST", "/v1/chat/completions", {**CHAT, **many})
    assert status == 200 and len(headers["x-reprise-ignored"]) <= 256
    status, _, reply = server.ask("POST", "/v1/chat/completions", {**CHAT, **many, "min_tokens": 5})
    assert status == 400 and json.loads(reply)["error"]["param"] == "min_tokens"
