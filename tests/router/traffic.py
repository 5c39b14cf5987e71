"""Conversations about shared documents, at random but the same for the same seed, by both vendors' APIs, streamed and
not: the same requests to whoever answers, since replies are the likeliest ones and equal wherever they are computed.
"""

import random

from fleet import Reply

SUBJECTS = ["harbour", "library", "bakery", "workshop", "orchard", "station", "market", "museum", "school", "garden"]
RULES = [
    "Before the doors of the {0} open, somebody walks through the {1} and writes down what is missing.",
    "Visitors of the {0} who come from the {1} are greeted by name and never asked twice for the same paper.",
    "Money that the {0} takes for the {1} is counted in the evening by two people, who both sign the sheet.",
    "Whoever finds something between the {0} and the {1} puts it into the grey box and notes the hour.",
    "Complaints about the {0} go to the {1} and are answered within three days, in plain words.",
]
QUESTIONS = [
    "What does rule {0} ask of somebody who works at the {1}?",
    "Say in one sentence why the {1} needs rule {0}.",
    "Who signs when rule {0} was broken near the {1}?",
    "Which rule speaks of the {1}, and does it contradict rule {0}?",
]


def document(name, sentences=12):
    """Text of its own for each name: about 25 tokens a sentence."""
    dice = random.Random(f"document {name}")
    lines = [f"The handbook of {name}."]
    for index in range(sentences):
        lines.append(f"Rule {index + 1}. " + dice.choice(RULES).format(*dice.sample(SUBJECTS, 2)))
    return "\n".join(lines)


def chat_body(system, turns, **options):
    """OpenAI's."""
    body = {"messages": [{"role": "system", "content": system}, *turns], "temperature": 0, **options}
    if body.get("stream"):
        body["stream_options"] = {"include_usage": True}
    return "/v1/chat/completions", body


def messages_body(system, turns, **options):
    """Anthropic's."""
    return "/v1/messages", {"model": "any", "system": system, "messages": turns, "temperature": 0, **options}


class Conversation:
    """One of them: next_turn(port) asks and takes the reply in."""

    def __init__(self, system, seed, reply_tokens=12):
        self.dice = random.Random(f"conversation {seed}")
        self.system, self.reply_tokens = system, reply_tokens
        self.make = self.dice.choice([chat_body, messages_body])
        self.turns = []
        self.prompt_tokens = 0  # of its last request

    def ask(self, port, headers=None, **options):
        """The next turn as a Reply that is under way; take() it when it has ended, or the same turn is asked again."""
        if not self.turns or self.turns[-1]["role"] == "assistant":
            question = self.dice.choice(QUESTIONS).format(self.dice.randint(1, 12), self.dice.choice(SUBJECTS))
            self.turns.append({"role": "user", "content": question})
        options = {"max_tokens": self.reply_tokens, "stream": self.dice.random() < 0.5, **options}
        return Reply(port, *self.make(self.system, self.turns, **options), headers)

    def take(self, reply):
        """Prompt tokens, and those that were read."""
        text, self.prompt_tokens, read = reply.wait().said()
        self.turns.append({"role": "assistant", "content": text or "Nothing."})
        return self.prompt_tokens, read


class Traffic:
    """Turns of several conversations in a random order, one request after the other."""

    def __init__(self, seed, documents=4, conversations=10, turns=4):
        self.dice = random.Random(seed)
        systems = [document(f"{seed} {index}") for index in range(documents)]
        self.conversations = [Conversation(self.dice.choice(systems), f"{seed} {i}") for i in range(conversations)]
        self.order = self.conversations * turns
        self.dice.shuffle(self.order)

    def play(self, port, after=lambda: None):
        """Tokens asked and tokens read; `after` is called behind each request."""
        asked = read = 0
        for conversation in self.order:
            tokens, found = conversation.take(conversation.ask(port))
            asked, read = asked + tokens, read + found
            after()
        return asked, read
