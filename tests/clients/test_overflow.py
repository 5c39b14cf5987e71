"""A prompt that is longer than the context: each client must know it for that, by its own rule.

An agent that does not, sends the same prompt again; one that does, compacts the conversation.
"""

import json
import subprocess

import litellm
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.exceptions import ContextOverflowError
from langchain_openai import ChatOpenAI

# More tokens than the model's 8192, and not so many bytes that they are refused uncounted.
LONG = "one two three " * 4000
SHORT_BUT_WRONG = {"temperature": 9}  # another 400


@pytest.fixture
def url(server):
    return f"http://127.0.0.1:{server.port}"


pytestmark = pytest.mark.filterwarnings("ignore")  # theirs


LITELLM = pytest.mark.parametrize(
    "options", [{"model": "openai/m", "path": "/v1"}, {"model": "anthropic/m", "path": ""}], ids=["openai", "anthropic"]
)


def ask_litellm(url, options, content, **more):
    return litellm.completion(
        model=options["model"],
        api_base=url + options["path"],
        api_key="none",
        messages=[{"role": "user", "content": content}],
        max_tokens=2,
        num_retries=0,
        **more,
    )


@LITELLM
@pytest.mark.parametrize("stream", [False, True])
def test_litellm(url, options, stream):
    with pytest.raises(litellm.ContextWindowExceededError):
        ask_litellm(url, options, LONG, stream=stream)


@LITELLM
def test_litellm_does_not_take_another_fault_for_it(url, options):
    with pytest.raises(litellm.BadRequestError) as caught:
        ask_litellm(url, options, "hi", **SHORT_BUT_WRONG)
    assert not isinstance(caught.value, litellm.ContextWindowExceededError)
    assert "temperature" in str(caught.value)


LANGCHAIN = pytest.mark.parametrize(
    "model",
    [
        lambda url, **more: ChatOpenAI(base_url=url + "/v1", api_key="none", model="m", max_retries=0, **more),
        lambda url, **more: ChatAnthropic(base_url=url, api_key="none", model="m", max_retries=0, max_tokens=2, **more),
    ],
    ids=["openai", "anthropic"],
)


@LANGCHAIN
def test_langchain(url, model):
    with pytest.raises(ContextOverflowError):
        model(url).invoke(LONG)
    with pytest.raises(ContextOverflowError):
        list(model(url).stream(LONG))


@LANGCHAIN
def test_langchain_does_not_take_another_fault_for_it(url, model):
    with pytest.raises(Exception, match="temperature") as caught:
        model(url, **SHORT_BUT_WRONG).invoke("hi")
    assert not isinstance(caught.value, ContextOverflowError)


# The message that its client for the same wire would show is put before its own function.
PI = """
const { isContextOverflow } = await import(process.argv[1]);
const messages = JSON.parse(process.argv[2]);
console.log(JSON.stringify(messages.map(
  (errorMessage) => isContextOverflow({ stopReason: "error", errorMessage, usage: {} }))));
"""


def test_pi(server, node_module):
    body = {"max_tokens": 2, "messages": [{"role": "user", "content": LONG}]}
    wrong = {**body, "messages": [{"role": "user", "content": "hi"}], **SHORT_BUT_WRONG}
    messages = []
    for path, each in [(path, each) for path in ("/v1/chat/completions", "/v1/messages") for each in (body, wrong)]:
        status, _, reply = server.ask("POST", path, each)
        assert status == 400
        messages.append(f"{status} {json.loads(reply)['error']['message']}")
    overflow = node_module("@mariozechner/pi-ai", "0.73.1") / "dist/utils/overflow.js"
    ran = subprocess.run(
        ["node", "--input-type=module", "-e", PI, overflow, json.dumps(messages)], capture_output=True, text=True, check=True
    )
    assert json.loads(ran.stdout) == [True, False, True, False], messages
