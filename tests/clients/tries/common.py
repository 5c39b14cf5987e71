"""What every client is asked to do; see tests/clients/test_matrix.py.

A client's script defines functions named after the cases below and calls run(globals()). Each gets nothing and
returns nothing; an exception is a failure. The server's replies are scripted where a small model could not give
them, and forced where the server can make it.
"""

import json
import sys
import traceback
import urllib.request

CASES = ("chat", "stream", "tools", "forced", "schema", "thinking", "cached")
URL = sys.argv[1] if len(sys.argv) > 1 else ""

HELLO = "Hello there, friend."
ASK = "What is the weather in Rome for 3 days?"
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome", "days": 3}}\n</tool_call>'
ARGUMENTS = {"city": "Rome", "days": 3}
THOUGHT = "<think>\nLet me think.\n</think>\n\n" + HELLO
THINKING = "Let me think."
LONG = "This text is the beginning of many conversations. " * 40
WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 20},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}


def script(*replies):
    """What the model's next replies will be."""
    request = urllib.request.Request(
        URL + "/test/script", json.dumps({"replies": replies}).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request).read()


def is_weather(arguments):
    assert set(arguments) == {"city", "days"}, arguments
    assert isinstance(arguments["city"], str) and 1 <= arguments["days"] <= 9, arguments


def run(functions):
    """Prints one JSON object: each case with true, or with what failed."""
    results = {}
    for case in CASES:
        if case not in functions:
            continue
        try:
            functions[case]()
            results[case] = True
        except Exception:
            results[case] = traceback.format_exc()[-1500:]
    print(json.dumps(results))
