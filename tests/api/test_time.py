"""Where the time goes: a repeated prompt, --trace, and --stream-pause beside a long prompt."""

import json
import threading

STAGES = {
    "receive body",
    "parse JSON",
    "render template",
    "tokenise",
    "wait",
    "look up and admit",
    "forward",
    "sample",
    "/v1/chat/completions",
}


def chat(server, text, **options):
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": 2, **options}
    return server.post("/v1/chat/completions", body)


def test_a_repeated_prompt_is_read_with_its_logits(server, document):
    text = document("again and again")
    chat(server, text)
    before = server.metric("computed_tokens_total")
    again = chat(server, text, max_tokens=1)
    assert again["headers"]["x-reprise-cache"].endswith("computed=0")
    assert server.metric("computed_tokens_total") == before


def test_a_trace_names_every_stage_on_a_row_for_each_thread(start, document, tmp_path):
    path = tmp_path / "trace.json"
    traced = start("--trace", path)
    chat(traced, document("traced"))
    traced.stop()
    events = json.loads(path.read_text())
    bars = [event for event in events if event["ph"] == "X"]
    assert STAGES <= {bar["name"] for bar in bars}
    assert all(bar["dur"] >= 0 for bar in bars)
    rows = {event["args"]["name"]: event["tid"] for event in events if event["ph"] == "M"}
    assert rows.keys() == {"engine", "sockets", "short work", "long work"}
    assert {bar["tid"] for bar in bars} == set(rows.values()) - {rows["long work"]}


def test_a_trace_that_cannot_be_written_is_a_clear_error(start, tmp_path):
    try:
        start("--trace", tmp_path / "absent" / "trace.json")
    except RuntimeError as failure:
        assert "cannot be written" in str(failure)
    else:
        raise AssertionError("the server started")


def test_the_shorter_the_pause_the_smaller_the_pieces_of_a_prompt_beside_a_stream(
    start, document, tmp_path
):
    """By rows of a step, not by time, which a busy machine stretches."""

    def largest_step(pause):
        path = tmp_path / f"{pause}.json"
        # Tokens that are guessed would be rows too.
        server = start("--stream-pause", pause, "--trace", path, "--speculate", "off")
        chat(server, document("warm up", 500))  # the speed of steps becomes known
        server.wait_idle()
        before = server.metric("generated_tokens_total")
        streaming = threading.Thread(
            target=chat, args=(server, "Tell me a story."), kwargs={"max_tokens": 60, "ignore_eos": True}
        )
        streaming.start()
        while server.metric("generated_tokens_total") == before:
            pass
        chat(server, document("beside", 500))
        streaming.join()
        server.stop()
        details = [e["args"]["detail"] for e in json.loads(path.read_text()) if e["name"] == "forward"]
        beside = [int(d.split()[0]) for d in details if d.endswith("rows of 2 sequences")]
        assert beside
        return max(beside)

    assert largest_step("1ms") == 1 + 16
    assert largest_step("10s") == 1 + 128
