"""The workloads that the article says caching pays in, as scripts of requests over real text.

A script is a list of requests, each a list of messages whose first is the system text, or, for
chat, grows by what the server replies. The first line of the system text is the session's own, so
that the first request finds nothing and a request "without a cache" is one with a session of its
own.
"""
import json

from article.endpoint import Message

AGENT_CHARACTERS_A_TOKEN = 3.2  # of code and shell output; bounds the agent's prompts from above

RAG_TOPIC = "credit card annual fee rewards points eligibility"
RAG_QUESTIONS = (
    "What does the document '{}' allow?", "Whom does '{}' concern?",
    "Which steps does '{}' ask an agent to take?", "What is forbidden by '{}'?",
    "Give one condition that '{}' sets.")
LONG_QUESTIONS = (
    "What is this about?", "Who may use it?", "Which fees are named?", "Which limits are named?",
    "Name one condition.", "Name one exception.", "Which account is the first one?",
    "What is free?", "Who must be verified?", "What has to be checked first?",
    "When is it declined?", "What is a bonus?",
    "Which cards are named?", "How long does it take?", "What does a customer receive?",
    "Which number is the largest?", "What does an agent do at the end?", "What is internal?",
    "What is said about transfers?", "Summarise it in one sentence.")


def _marked(system, history, question, mark):
    return [Message("system", system, mark), *history, Message("user", question, mark)]


def rag(study):
    """A policy and the same few documents in front, and another question each time."""
    sizes, corpus = study.sizes, study.corpus
    policy = corpus.policies["airline"][:sizes.policy_characters]
    found = corpus.about(RAG_TOPIC, sizes.rag_documents)
    system = "\n\n".join([policy, *(document.text() for document in found)])
    asked = [question.format(document.title) for question in RAG_QUESTIONS for document in found]
    return [(system, [], question) for question in asked[:sizes.workload_requests]]


def long_document(study):
    """Twenty questions to one document."""
    text = study.corpus.document(study.sizes.long_document_tokens, "long document")
    return [(text, [], question) for question in LONG_QUESTIONS[:study.sizes.workload_requests]]


def agent(study):
    """A recorded agent loop, tools and instructions in front, replayed step by step.

    Calls and results are written as text, since the default model's template knows no tools, and
    every server then computes the same prompt.
    """
    history = study.corpus.trajectory
    system = _tools(history) + "\n\n" + history[0]["content"]
    requests, so_far, size = [], [], len(system)
    for entry in history[1:]:
        text = _agent_text(entry)
        size += len(text)
        if size > study.sizes.agent_tokens * AGENT_CHARACTERS_A_TOKEN:
            break
        if entry["role"] == "assistant":
            so_far.append(Message("assistant", text))
        else:
            requests.append((system, list(so_far), text))
            so_far.append(Message("user", text))
    return requests[:study.sizes.workload_requests]


def _agent_text(entry):
    content = entry["content"]
    text = content if isinstance(content, str) else \
        "\n".join(part.get("text", "") for part in content)
    if entry["role"] == "tool":
        return f"Result:\n{text}"
    calls = [f"Call {call['function']['name']} {call['function']['arguments']}"
             for call in entry.get("tool_calls") or ()]
    return "\n".join([text, *calls])


def _tools(history):
    """The tools that the trajectory calls, with the arguments that it gives them."""
    tools = {}
    for entry in history:
        for call in entry.get("tool_calls") or ():
            arguments = json.loads(call["function"]["arguments"] or "{}")
            known = tools.setdefault(call["function"]["name"], {})
            known.update(dict.fromkeys(arguments, "string"))
    lines = [json.dumps({"name": name, "parameters": parameters})
             for name, parameters in sorted(tools.items())]
    return "\n".join(["Tools:", *lines])


def chat(study):
    """MT-bench's questions, two turns each, one after another in one conversation; the replies are
    the server's own, so a request gives its question only."""
    sizes, corpus = study.sizes, study.corpus
    system = "You answer questions of customers.\n\n" + \
        corpus.document(sizes.chat_system_tokens, "chat system")
    turns = [turn for questions in corpus.chats for turn in questions]
    return [(system, None, turn) for turn in turns[:sizes.workload_requests]]


SCRIPTS = {"RAG": rag, "long document": long_document, "chat": chat, "agent loop": agent}


def play(script, session, mark, ask, replies=None, only=None):
    """Asks the script's requests in order by `ask(messages)` and yields its results.

    `replies` are the assistant's words of an earlier run, to repeat a chat with; `only` a set of
    request numbers: each is then asked alone, in a session of its own.
    """
    said = []
    for number, (system, history, question) in enumerate(script):
        if history is None:
            history = said
        if only is None or number in only:
            own = session if only is None else f"{session} {number}"
            reply = ask(_marked(f"Session {own}.\n\n{system}", history, question, mark))
            yield reply
            words = reply.text
        else:
            words = ""
        if replies:
            words = replies[number]
        said = [*said, Message("user", question), Message("assistant", words or "…")]
