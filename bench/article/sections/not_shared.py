"""What is not shared: a cached prompt is no cached answer, and a hit changes none."""
from article import numbers
from article.sections import about, known
from article.study import Group, Step
from page import table

TITLE = "7. What is not shared"
SENTENCE = "It is not a response cache."

REPLY_TOKENS = 32


def plan(study):
    return [Group("bits", [
        step for target in study.targets for step in (
            Step(f"varied/{target}", target, 1 + study.sizes.varied_replies, _varied(study)),
            *(Step(f"greedy/{target}/{number}", target, 2, _greedy(study, number))
              for number in range(study.sizes.greedy_prompts)))])]


def _varied(study):
    def work(endpoint):
        text = study.text(study.sizes.short_tokens, endpoint, "varied")
        asked = about(text, "Tell me a story about this.")
        known(endpoint.ask(asked))
        replies = [known(endpoint.ask(asked, REPLY_TOKENS, temperature=1))
                   for _ in range(study.sizes.varied_replies)]
        return {"texts": [reply.text for reply in replies],
                "hits": [reply.hit() for reply in replies]}
    return work


def _greedy(study, number):
    def work(endpoint):
        text = study.text(study.sizes.short_tokens, endpoint, f"greedy {number}")
        asked = about(text, "Explain.")
        # Whole replies: only they carry the checksum of the logits, where a server gives one.
        cold = endpoint.ask(asked, REPLY_TOKENS, stream=False)
        warm = known(endpoint.ask(asked, REPLY_TOKENS, stream=False))
        return {"same": cold.text == warm.text, "hit": warm.hit(),
                "same_bits": cold.checksum == warm.checksum if cold.checksum else None}
    return work


def _figures(study, target):
    """(distinct replies, replies, of them hits), (equal greedy replies, prompts), (equal bits,
    prompts)"""
    varied = study.results[f"varied/{target}"] if f"varied/{target}" in study.results else None
    greedy = [run for run in study.results.all(f"greedy/{target}/").values() if run["hit"]]
    bits = [run["same_bits"] for run in greedy if run["same_bits"] is not None]
    texts = varied["texts"] if varied else []
    return (len(set(texts)), len(texts), sum(varied["hits"]) if varied else 0), \
        (sum(run["same"] for run in greedy), len(greedy)), (sum(bits), len(bits))


def summary(study, target):
    (distinct, replies, _), greedy, _ = _figures(study, target)
    if not replies and not greedy[1]:
        return numbers.NONE
    return (f"{numbers.count(distinct, replies)} replies at temperature 1 differ; "
            f"greedy cold = cached: {numbers.count(*greedy)}")


def report(study):
    lines = [f"One cached prompt asked {study.sizes.varied_replies} times at temperature 1; and "
             f"{study.sizes.greedy_prompts} prompts asked greedily, cold and then cached "
             f"({REPLY_TOKENS} tokens each). Only replies whose prompt was read from the cache "
             "count. *Logits*: a checksum over the bits of all logits that were sampled from, "
             "where a server gives one.", ""]
    rows = []
    for target in study.targets:
        (distinct, replies, read), greedy, bits = _figures(study, target)
        rows.append([target, numbers.count(read, replies), numbers.count(distinct, replies),
                     numbers.count(*greedy), numbers.count(*bits)])
    lines += [*table(["", "prompt read", "different replies", "greedy: reply equal cold and cached",
                      "greedy: logits equal"], rows, right=range(1, 5)), ""]
    for target in study.targets:
        reason = study.missing(f"varied/{target}") or study.missing(f"greedy/{target}/")
        lines += numbers.notes(reason and f"{target}: {reason}")
    return lines


def charts_of(study):
    return {}
