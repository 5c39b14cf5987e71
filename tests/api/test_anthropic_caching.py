"""What marked prompts read and write through the official client, on the real model."""

import anthropic
import pytest
from messages import HOUR, MARK, counts, create, raw, text, tool, total, user

# -- What is read and what is written ------------------------------------------------------------


def test_read_write_and_rest_are_always_the_total(claude, document):
    system = [text(document("sums 1"), HOUR), text(document("sums 2", 60), MARK)]
    messages = [user(text("One."), text("Two.", MARK), text("Three."))]
    wanted = total(claude, messages, system=system)
    seen = [create(claude, messages, system=system).usage for _ in range(3)]
    for usage in seen:
        assert sum(counts(usage)) == wanted
        split = usage.cache_creation
        assert (
            split.ephemeral_5m_input_tokens + split.ephemeral_1h_input_tokens
            == usage.cache_creation_input_tokens
        )
    assert seen[0].cache_creation.ephemeral_1h_input_tokens > 100
    assert seen[0].cache_creation.ephemeral_5m_input_tokens > 50
    assert seen[1].cache_creation_input_tokens == 0 and seen[1].cache_read_input_tokens == wanted


def test_the_second_request_reads_what_the_first_wrote(claude, document):
    system = [text(document("second reads"), MARK)]
    first = create(claude, "First question?", system=system).usage
    second = create(claude, "Another one?", system=system).usage
    assert first.cache_creation_input_tokens > 100
    assert second.cache_read_input_tokens >= first.cache_read_input_tokens + first.cache_creation_input_tokens
    assert second.cache_creation_input_tokens == 0


def test_the_top_level_mark_moves_along_with_the_conversation(claude, document):
    messages = [user(text(document("moving")))]
    known = 0
    for turn in range(3):
        usage = create(claude, messages, cache_control=MARK).usage
        read, write, _ = counts(usage)
        assert write > 0, f"turn {turn}"
        assert read >= known, f"turn {turn}"
        known = read + write
        messages += [{"role": "assistant", "content": "Well."}, user(text(f"And {turn}?"))]


def test_a_mark_is_no_part_of_the_prompt(claude, document):
    words = document("no part")
    create(claude, [user(text(words, MARK), text("So?"))])
    read, _, rest = counts(create(claude, [user(text(words), text("So?"))]).usage)
    assert rest == 0 and read > 100


def test_a_hit_by_way_of_a_mark_gives_the_same_bits(claude, server, document):
    words = document("same bits")
    cold = create(claude, [user(text(words, MARK), text("So?"))], max_tokens=12)
    warm = create(claude, [user(text(words, MARK), text("So?"))], max_tokens=12)
    assert warm.usage.cache_read_input_tokens > 100 > cold.usage.cache_read_input_tokens
    assert warm.logits_checksum == cold.logits_checksum
    assert warm.content == cold.content


def test_any_ttl_up_to_the_longest_is_taken(claude, document):
    for name, ttl in (("t1", "30m"), ("t2", "12h"), ("t3", "90s"), ("t4", "1d")):
        messages = [user(text(document(name), {"type": "ephemeral", "ttl": ttl}))]
        message, headers = raw(claude, messages)
        assert message.usage.cache_creation_input_tokens > 100
        assert "x-reprise-cache-warning" not in headers
        long = message.usage.cache_creation.ephemeral_1h_input_tokens > 0
        assert long == (ttl in ("12h", "1d"))


# -- The vendor's table of what loses what --------------------------------------------------------


BETWEEN = 20  # tokens of the template between two parts and behind the last


@pytest.fixture
def conversation(claude, document):
    """ask(**changes) -> tokens read of a marked conversation that has been asked once, and its boundaries."""
    parts = dict(
        tools=[tool("alpha", document("table tools", 120))],
        system=[text(document("table system", 120))],
        messages=[user(text(document("table messages", 120)))],
    )

    def boundary(**kept):
        return total(claude, **{**parts, **kept})

    whole = boundary()
    without_messages = boundary(messages=[user(text("."))])
    without_system = boundary(messages=[user(text("."))], system=[text(".")])
    create(claude, **parts)

    def ask(**changes):
        return create(claude, **{**parts, **changes}).usage.cache_read_input_tokens

    return ask, whole, without_messages, without_system


def test_a_changed_tool_loses_tools_system_and_messages(conversation, document):
    ask, *_ = conversation
    assert ask(tools=[tool("beta", document("table tools", 120))]) < 80


def test_a_changed_system_text_keeps_the_tools(conversation):
    ask, _, _, tools_end = conversation
    assert tools_end - BETWEEN <= ask(system=[text("Otherwise.")]) <= tools_end


def test_a_changed_message_keeps_tools_and_system(conversation):
    ask, _, system_end, _ = conversation
    assert system_end - BETWEEN <= ask(messages=[user(text("Otherwise."))]) <= system_end


@pytest.mark.parametrize(
    "changes",
    [
        {"tool_choice": {"type": "auto"}},
        {"tool_choice": {"type": "none"}},
        {"thinking": {"type": "enabled", "budget_tokens": 2048}},
        {"temperature": 0.7},
        {"top_p": 0.5},
        {"top_k": 3},
        {"stop_sequences": ["the"]},
        {"max_tokens": 3},
        {"metadata": {"user_id": "x"}},
    ],
    ids=str,
)
def test_parameters_lose_nothing(conversation, changes):
    ask, whole, *_ = conversation
    assert ask(**changes) == whole


# -- Marks that the vendor refuses ------------------------------------------------------------------

# Those of anthropic_call_test.cc (AnthropicMarksTest) are not asked again here.
BREACHES = {
    "five marks": (
        [user(*(text(f"Block {i}.", MARK) for i in range(5)))],
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ),
    "a ttl of another type": (
        [user(text("Hello.", {"type": "ephemeral", "ttl": 300}))],
        "messages.0.content.0.cache_control.ttl: Input should be '5m' or '1h'",
    ),
    "an unknown type": (
        [user(text("Hello.", {"type": "persistent"}))],
        "messages.0.content.0.cache_control.type: Input should be 'ephemeral'",
    ),
    "a mark inside a tool_result, not on its last block": (
        [
            user(text("Hello.")),
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "n", "input": {}}]},
            user({"type": "tool_result", "tool_use_id": "t", "content": [text("a", MARK), text("b")]}),
        ],
        "messages.2.content.0.content.0.cache_control: only the last block of a tool_result can carry it",
    ),
}


@pytest.fixture
def strict(strict_server):
    return strict_server.anthropic()


@pytest.mark.parametrize("name", BREACHES)
def test_a_breach_is_ignored_and_said(claude, name):
    messages, sentence = BREACHES[name]
    message, headers = raw(claude, messages)
    assert message.content
    assert headers["x-reprise-cache-warning"] == sentence


@pytest.mark.parametrize("name", BREACHES)
def test_a_strict_server_refuses_in_the_vendors_words(strict, name):
    messages, sentence = BREACHES[name]
    with pytest.raises(anthropic.BadRequestError) as refused:
        create(strict, messages)
    body = refused.value.body
    assert body["error"] == {"type": "invalid_request_error", "message": sentence}
    assert body["request_id"] == refused.value.response.headers["request-id"]


def test_a_strict_server_knows_the_vendors_lifetimes_only(strict):
    with pytest.raises(anthropic.BadRequestError, match="'5m' or '1h'"):
        create(strict, [user(text("Hello.", {"type": "ephemeral", "ttl": "30m"}))])
    assert create(strict, [user(text("One.", HOUR), text("Two.", MARK))]).content


def test_the_fifth_mark_is_the_one_ignored(claude, document):
    blocks = [text(document(f"fifth {i}", 40), MARK) for i in range(5)]
    usage = create(claude, [user(*blocks)]).usage
    assert usage.input_tokens > 40, "what only the fifth marks is not written"


def test_a_mark_on_the_last_block_only_is_enough(claude, document):
    messages = [user(text(document("last only 1")), text(document("last only 2"), MARK))]
    first = create(claude, messages).usage
    assert first.input_tokens < 12, "the template's end of the prompt"
    read, write, rest = counts(create(claude, messages).usage)
    assert (write, rest) == (0, 0)


# -- The agent's billing line ---------------------------------------------------------------------

BILLING = "x-anthropic-billing-header: cc_version=2.1.197.{0:03x}; cc_entrypoint=cli; cch={0:05x};"


def test_the_billing_line_spoils_nothing(start, document):
    own = start()
    client = own.anthropic()
    words = document("billing")
    system = lambda n: [text(BILLING.format(n)), text(words, MARK)]
    first = counts(create(client, "Hm?", system=system(1)).usage)
    second = counts(create(client, "Hm?", system=system(2)).usage)
    assert sum(first) == sum(second) == total(client, [user(text("Hm?"))], system=[text(words)])
    assert second[2] == 0, "everything was found"
    own.wait_idle()
    assert sum("billing line" in line for line in own.log) == 1, "said once"


@pytest.mark.parametrize(
    "system",
    [
        lambda line, words: [text(words), text(line)],
        lambda line, words: [text(line + " more"), text(words)],
        lambda line, words: [text("  " + line), text(words)],
    ],
    ids=["second block", "with more behind", "with space before"],
)
def test_the_same_words_elsewhere_stay(claude, document, system):
    words = document("billing elsewhere", 40)
    line = BILLING.format(7)
    messages = [user(text("Hm?"))]
    with_line = total(claude, messages, system=system(line, words))
    assert with_line > total(claude, messages, system=[text(words)]) + 20


def test_the_billing_line_can_be_kept(start, document):
    own = start("--keep-billing-line").anthropic()
    messages = [user(text("Hm?"))]
    kept = total(own, messages, system=[text(BILLING.format(7)), text("Be kind.")])
    assert kept > total(own, messages, system=[text("Be kind.")]) + 20


# -- Full pinned memory ---------------------------------------------------------------------------


def test_a_pinned_share_that_the_longest_request_leaves_less_of_is_said_at_the_start(start):
    for options, said in (("--kv-memory", "19M"), 1), (("--kv-memory", "512M"), 0):
        own = start(*options, "--context", "1024")
        own.wait_idle()  # its log has been read by then
        assert sum("marked prompts may hold 1 MB, not 9" in line for line in own.log) == said


def test_marks_beyond_pinned_memory_are_cached_without_a_promise_and_said(start, document):
    own = start("--pin-memory", "12M").anthropic()  # 700 tokens of this model
    warned = 0
    for i in range(4):
        message, headers = raw(own, [user(text(document(f"pinned {i}", 400), HOUR))])
        read, write, rest = counts(message.usage)
        if "x-reprise-cache-warning" in headers:
            assert "pinned memory is full" in headers["x-reprise-cache-warning"]
            assert write == 0 and rest > 400
            warned += 1
        else:
            assert write > 400
    assert 0 < warned < 4
    again = raw(own, [user(text(document("pinned 3", 400), HOUR))])[0].usage
    assert again.input_tokens == 0, "what could not be promised was cached all the same"
