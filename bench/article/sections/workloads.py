"""RAG, a long document, chat, an agent loop: what is read, and how soon the reply begins."""
from article import charts, numbers, workloads
from article.endpoint import Trouble
from article.study import Group, Step
from page import table

TITLE = "6. Workloads"
SENTENCE = "It pays in RAG, long documents, long conversations and agents."

MODES = ("automatic", "explicit", "no cache")
MARK = "5m"


def _key(target, workload, mode):
    return f"workload/{target}/{workload}/{mode}"


def plan(study):
    steps = []
    for target in study.targets:
        for name, make in workloads.SCRIPTS.items():
            script = make(study)
            for mode in MODES:
                count = len(_spread(study, script)) if mode == "no cache" else len(script)
                steps.append(Step(_key(target, name, mode), target, count,
                                  _work(study, target, name, script, mode)))
    return [Group("plain", steps)]


def _spread(study, script):
    """The numbers of the requests that are asked without a cache, evenly over the script."""
    wanted = min(study.sizes.cold_requests, len(script))
    return {round((i + 0.5) * len(script) / wanted - 0.5) for i in range(wanted)}


def _work(study, target, name, script, mode):
    def work(endpoint):
        results, replies = [], None
        if mode == "explicit" and not endpoint.marks:
            raise Trouble("it offers no cache markers")
        if mode == "no cache":
            if _key(target, name, "automatic") not in study.results:
                raise Trouble("there is no run with a cache to compare with")
            replies = [r["text"] for r in study.results[_key(target, name, "automatic")]]
        mark = None if mode != "explicit" else "30m" if endpoint.marks == "openai" else MARK

        def ask(messages):
            before = endpoint.program.cpu_seconds() if endpoint.program else None
            reply = endpoint.ask(messages, study.sizes.reply_tokens)
            after = endpoint.program.cpu_seconds() if endpoint.program else None
            results.append({
                "prompt": reply.prompt, "read": reply.read, "write": reply.write or 0,
                "output": reply.output, "first": reply.first, "total": reply.total,
                "cpu": after - before if endpoint.program else None, "text": reply.text})
            return reply

        only = _spread(study, script) if mode == "no cache" else None
        session = f"{study.nonce} {target} {name} {mode}"
        for _ in workloads.play(script, session, mark, ask, replies, only):
            pass
        return results
    return work


def requests(study, target, workload, mode):
    key = _key(target, workload, mode)
    return study.results[key] if key in study.results else []


def column(found, field):
    return [request[field] for request in found]


def share_read(study, target, workload, mode="automatic"):
    found = requests(study, target, workload, mode)
    return numbers.share(column(found, "read"), column(found, "prompt"))


def summary(study, target):
    shares = {name: share_read(study, target, name) for name in workloads.SCRIPTS}
    said = [f"{name} {numbers.percent(share)}" for name, share in shares.items()
            if share is not None]
    return "read: " + ", ".join(said) if said else numbers.NONE


def _row(study, target, name, mode):
    found = requests(study, target, name, mode)
    prompts, firsts = column(found, "prompt"), column(found, "first")
    cpu = numbers.median(column(found, "cpu"))
    return [target, mode, len(found), f"{sum(prompts):,}" if all(prompts) else numbers.NONE,
            numbers.percent(numbers.share(column(found, "read"), prompts), 1),
            numbers.ms(numbers.quantile(firsts, 0.5)), numbers.ms(numbers.quantile(firsts, 0.95)),
            numbers.NONE if cpu is None else f"{cpu:.2f}"]


def report(study):
    sizes = study.sizes
    lines = [f"*RAG*: a policy and the same {sizes.rag_documents} of {len(study.corpus.documents)} "
             f"documents, another question each time. *Long document*: {sizes.workload_requests} "
             "questions to one. *Chat*: MT-bench's questions turn by turn over a system text. "
             "*Agent loop*: a recorded trajectory, tools and instructions in front, step by step. "
             f"Replies of at most {sizes.reply_tokens} tokens. *No cache*: at most "
             f"{sizes.cold_requests} of the same requests, each behind a first line of its own, so "
             "that nothing can be read. CPU seconds are the server's own, a request.", ""]
    for name in workloads.SCRIPTS:
        rows = [_row(study, target, name, mode) for target in study.targets for mode in MODES
                if requests(study, target, name, mode)]
        if rows:
            lines += [f"**{name}**", "", *table(
                ["", "", "requests", "prompt tokens", "read", "first token p50, ms", "p95, ms",
                 "CPU s, median"], rows, right=range(2, 8)), ""]
    for target in study.targets:
        reason = study.missing(f"workload/{target}/")
        lines += numbers.notes(reason and f"{target}: {reason}")
    return lines


def charts_of(study):
    data = {}
    for target in study.targets:
        for name in workloads.SCRIPTS:
            found = {mode: column(requests(study, target, name, mode), "first") for mode in MODES}
            if found["automatic"] and found["no cache"]:
                data.setdefault(target, {})[name] = (found["no cache"], found["automatic"])
    return {"workloads": charts.workloads(data)} if data else {}
