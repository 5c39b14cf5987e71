"""Real traffic on the real model, such as a day brings: what the views of the page are tried on.

It is the same each time, but for what the model's speed decides. The cache is small, so that a prefix is evicted.
"""

# Room for 5,696 tokens of the default model; a promise must leave room for the longest prompt.
OPTIONS = ("--kv-memory", "96M", "--context", "2048")

PLACES = ["harbour", "library", "bakery", "workshop", "orchard", "station", "market", "museum", "school", "garden"]
RULES = [
    "Before the doors of the {} open, somebody walks through every room and writes down what is missing.",
    "Visitors of the {} are greeted by name where the name is known, and never asked twice for the same paper.",
    "Money that the {} takes is counted in the evening by two people, who both sign the sheet.",
    "Whoever finds something in the {} puts it into the grey box and notes the hour and the place.",
    "Complaints about the {} are answered within three days, in plain words and without excuses.",
    "Keys of the {} are handed over in person; a lost one is reported the same day.",
]


def document(topic, sentences):
    """Text of its own for each topic, so that documents share nothing."""
    lines = [f"The handbook of the {topic}."]
    for index in range(sentences):
        lines.append(f"Rule {index + 1}. " + RULES[index % len(RULES)].format(f"{topic} {PLACES[index % len(PLACES)]}"))
    return "\n".join(lines)


def tool(name, description):
    parameters = {"type": "object", "properties": {"query": {"type": "string", "description": "What to look for."}}}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


TOOLS = [
    tool("search_rules", "Looks for rules of a handbook that speak of something."),
    tool("open_ticket", "Writes down a complaint, so that somebody answers it within three days."),
]
CLOCK = "It is {} o'clock."


class Traffic:
    """What was asked: `ids` names the requests that tests and pictures open, by what is special about them:
    first, document, again, second_turn, tools, clock_before, clock_after, promised, evicted_before, evicted_after."""

    def __init__(self, server):
        self.server = server
        self.ids = {}

    def chat(self, name, messages, **options):
        body = {"messages": messages, "max_tokens": 16, "temperature": 0, **options}
        reply = self.server.post("/v1/chat/completions", body)
        self.server.wait_idle()
        self.ids[name] = reply["headers"]["x-request-id"]
        return reply["choices"][0]["message"].get("content") or "…"

    def mark(self, name, system, question, ttl):
        """A system text that is kept, over Anthropic's wire form."""
        block = {"type": "text", "text": system, "cache_control": {"type": "ephemeral", "ttl": ttl}}
        body = {"model": "any", "max_tokens": 12, "temperature": 0, "system": [block],
                "messages": [{"role": "user", "content": question}]}
        reply = self.server.post("/v1/messages", body)
        self.server.wait_idle()
        self.ids[name] = reply["headers"]["request-id"]


def said(role, content):
    return {"role": role, "content": content}


def play(server):
    traffic = Traffic(server)
    system = said("system", "You answer questions about a handbook, shortly and kindly.")

    traffic.chat("first", [system, said("user", "Good morning! What can you do?")])

    lost = document("lighthouse", 36)
    traffic.chat("evicted_before", [said("system", lost), said("user", "Who counts the money?")])

    traffic.mark("promised", document("theatre", 16), "Where do lost things go?", "1h")

    turns = [system, said("user", document("airport", 30) + "\n\nWho hands over the keys?")]
    answer = traffic.chat("document", turns, max_tokens=40)
    traffic.chat("again", turns, max_tokens=40)
    turns += [said("assistant", answer), said("user", "And what if one is lost?")]
    answer = traffic.chat("second_turn", turns, max_tokens=32)
    turns += [said("assistant", answer), said("user", "Thank you. One sentence more, please.")]
    traffic.chat("third_turn", turns, max_tokens=32)

    traffic.chat("tools", [system, said("user", "Find the rule about keys.")], tools=TOOLS)
    traffic.chat("tools_again", [system, said("user", "Open a ticket: the lamp is broken.")], tools=TOOLS)

    # A word that changes in front of everything: the clock.
    for name, hour in (("clock_before", "nine"), ("clock_after", "ten")):
        words = CLOCK.format(hour) + " " + document("hospital", 16)
        traffic.chat(name, [said("system", words), said("user", "What is in the grey box?")])

    # More than there is room for, so that the longest unused one goes, and is asked for again.
    for index, topic in enumerate(("castle", "brewery", "stadium")):
        traffic.chat(f"room_{index}", [said("system", document(topic, 30)), said("user", "Who signs the sheet?")])
    traffic.chat("evicted_after", [said("system", lost), said("user", "Who counts the money?")])
    return traffic
