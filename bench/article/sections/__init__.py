"""The article's sentences, one module each. A section has

    TITLE              of its chapter
    SENTENCE           what the article says, in a line
    plan(study)        groups of steps
    summary(study, t)  the answer for target t in a few words, or "–"
    report(study)      lines of Markdown
    charts_of(study)   name → matplotlib figure

and reads nothing but the study's results when it reports.
"""
from article.endpoint import Message, Trouble


def about(document, question, mark=None):
    """The conversation that most steps ask: a document, marked or not, and a question about it."""
    return [Message("system", document, mark), Message("user", question)]


def known(reply):
    """The reply, if it says what was read; Trouble otherwise."""
    if reply.prompt is None:
        raise Trouble("its replies have no usage")
    if reply.read is None:
        raise Trouble("its usage does not say how many tokens were cached")
    return reply
