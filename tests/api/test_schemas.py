"""Replies held to a schema, a grammar or a regular expression, on the default model."""

import concurrent.futures
import json
import random
import re

import jsonschema
import pydantic
import pytest

ASK = [{"role": "user", "content": "Tell me of a person."}]
CHAT = "/v1/chat/completions"
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0, "maximum": 130}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def reply_to(server, **body):
    reply = server.post(CHAT, {"messages": ASK, "max_tokens": 200, "temperature": 0, **body})
    return reply["choices"][0]


def schema_format(schema, **more):
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, **more}}


def test_a_reply_is_an_instance_of_its_schema(server):
    choice = reply_to(server, response_format=schema_format(PERSON, strict=True))
    assert choice["finish_reason"] == "stop"
    jsonschema.validate(json.loads(choice["message"]["content"]), PERSON)
    choice = reply_to(server, response_format={"type": "json_object"}, max_tokens=400)
    assert choice["finish_reason"] == "length" or isinstance(json.loads(choice["message"]["content"]), dict)


def test_the_clients_own_ways_to_ask(server):
    class Person(pydantic.BaseModel):
        name: str = pydantic.Field(max_length=12)
        age: int = pydantic.Field(ge=0, le=130)

    parsed = server.openai().chat.completions.parse(model="m", messages=ASK, response_format=Person, max_tokens=200)
    assert isinstance(parsed.choices[0].message.parsed, Person)

    class Claimed(pydantic.BaseModel):  # this client sends no bounds
        name: str
        age: int

    message = server.anthropic().messages.parse(model="m", messages=ASK, output_format=Claimed, max_tokens=200)
    assert isinstance(message.parsed_output, Claimed)
    for field in ("output_config", "output_format"):
        wanted = {"type": "json_schema", "schema": PERSON}
        body = {field: {"format": wanted} if field == "output_config" else wanted}
        reply = server.post("/v1/messages", {"messages": ASK, "max_tokens": 200, **body})
        jsonschema.validate(json.loads(reply["content"][0]["text"]), PERSON)


def test_grammars_and_regular_expressions(server):
    phone = reply_to(server, regex="[0-9]{3}-[0-9]{4}")["message"]["content"]
    assert re.fullmatch("[0-9]{3}-[0-9]{4}", phone)
    # Without an end of its own a name could go on for as long as the model likes.
    gbnf = 'root ::= greeting " " [a-z] [a-z]? [a-z]? "!"   # llama.cpp\ngreeting ::= "hello" | "good-bye"'
    assert re.fullmatch("(hello|good-bye) [a-z]{1,3}!", reply_to(server, grammar=gbnf)["message"]["content"])
    lark = 'start: "a" /[0-9]{2}/ | "b"'
    assert re.fullmatch("a[0-9]{2}|b", reply_to(server, grammar=lark)["message"]["content"])
    assert reply_to(server, guided_choice=["red", "blue"])["message"]["content"] in ("red", "blue")
    text = server.post("/v1/completions", {"prompt": "My number is", "regex": "[0-9]{4}", "max_tokens": 20})
    assert re.fullmatch("[0-9]{4}", text["choices"][0]["text"])


def test_what_cannot_be_compiled_says_where(server):
    def fault(**body):
        status, _, reply = server.ask("POST", CHAT, {"messages": ASK, "max_tokens": 9, **body})
        assert status == 400
        error = json.loads(reply)["error"]
        return error["param"], error["message"]

    param, message = fault(response_format=schema_format({"type": "object", "not": {}}, strict=True))
    assert param == "response_format.json_schema.schema" and "not" in message
    people = {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/p"}, {"type": "null"}]}}
    person = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer", "not": {"const": 3}}}}
    nested = {"type": "object", "properties": {"a": {"type": "string"}, "people": people}, "$defs": {"p": person}}
    param, message = fault(response_format=schema_format(nested, strict=True))
    assert "at properties.people.items.anyOf[0]" in message or "at $defs.p.properties.age" in message, message
    inline = {"type": "object", "properties": {"people": {"type": "array", "items": person}}}
    param, message = fault(response_format=schema_format(inline, strict=True))
    assert message.endswith("(at properties.people.items.properties.age)")
    param, message = fault(regex="(a")
    assert param == "regex" and "unclosed group" in message
    param, message = fault(grammar="root ::= (")
    assert param == "grammar" and "line 1" in message
    assert fault(grammar="start: nothing")[0] == "grammar"
    assert fault(regex="a", grammar='start: "a"')[0] == "regex"
    assert fault(response_format=schema_format({"$ref": "#/$defs/missing"}))[0] == "response_format.json_schema.schema"


def test_what_is_left_out_of_account_is_said(server):
    schema = {**PERSON, "propertyNames": {"maxLength": 5}}
    status, headers, _ = server.ask(
        "POST", CHAT, {"messages": ASK, "max_tokens": 200, "response_format": schema_format(schema)}
    )
    assert status == 200 and "propertyNames" in headers["x-reprise-ignored"]


def test_annotations_are_no_faults(server):
    schema = json.loads(json.dumps(PERSON))
    schema |= {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "P", "description": "d", "default": {}}
    schema["properties"]["name"] |= {"format": "surname", "examples": ["Ada"], "deprecated": False}
    choice = reply_to(server, response_format=schema_format(schema, strict=True))
    jsonschema.validate(json.loads(choice["message"]["content"]), PERSON)


def test_log_probabilities_do_not_change_a_reply(server):
    plain = reply_to(server, response_format=schema_format(PERSON), temperature=1, seed=3)
    shown = reply_to(server, response_format=schema_format(PERSON), temperature=1, seed=3, logprobs=True)
    assert shown["message"] == plain["message"]
    tokens = "".join(token["token"] for token in shown["logprobs"]["content"])
    assert tokens == plain["message"]["content"]


def test_a_form_costs_no_hit_and_hits_change_no_reply(server):
    messages = [{"role": "system", "content": "A text of its own. " * 60}] + ASK
    body = {"messages": messages, "max_tokens": 100, "temperature": 1, "seed": 5}
    cold = server.post(CHAT, {**body, "response_format": schema_format(PERSON), "cache_prompt": False})
    server.post(CHAT, body)
    warm = server.post(CHAT, {**body, "response_format": schema_format(PERSON)})
    usage = warm["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == usage["prompt_tokens"]
    for name in ("message", "logits_checksum"):
        assert warm["choices"][0][name] == cold["choices"][0][name]


def random_schema(rng, depth=0):
    """A schema of the subset that is supported (docs/api.md)."""
    kinds = ["string", "integer", "number", "boolean", "null", "enum", "const", "array", "object", "anyOf"]
    kind = rng.choice(kinds if depth < 3 else kinds[:7])
    if kind == "string":
        schema = {"type": "string"}
        which = rng.randrange(5)
        if which == 0:
            schema |= {"pattern": rng.choice(["^[a-c]{1,4}$", "^x[0-9]+$", "^(yes|no)$"]), "maxLength": 12}
        elif which == 1:
            schema |= {"format": rng.choice(["date", "time", "uuid", "ipv4", "date-time", "email"])}
        else:
            low = rng.randrange(4)
            schema |= {"minLength": low, "maxLength": low + rng.randrange(8)}
        return schema
    if kind in ("integer", "number"):
        low = rng.randrange(-50, 50)
        schema = {"type": kind, "minimum": low, "maximum": low + rng.randrange(1, 100)}
        if rng.randrange(3) == 0:
            schema["exclusiveMaximum"] = schema.pop("maximum") + 1
        return schema
    if kind in ("boolean", "null"):
        return {"type": kind}
    if kind == "enum":
        return {"enum": rng.sample(["a", "b b", 1, 2.5, True, None, ["x"], {"k": 1}, 'q"uote'], 3)}
    if kind == "const":
        return {"const": rng.choice(["a", 7, {"x": [1, 2]}, False])}
    if kind == "anyOf":
        return {"anyOf": [random_schema(rng, depth + 1) for _ in range(2)]}
    if kind == "array":
        low = rng.randrange(3)
        return {"type": "array", "items": random_schema(rng, depth + 1), "minItems": low, "maxItems": low + 2}
    names = rng.sample(["name", "age", "tags", "a b", "ü", "x-y", "list"], rng.randrange(1, 4))
    schema = {"type": "object", "properties": {name: random_schema(rng, depth + 1) for name in names}}
    schema["required"] = [name for name in names if rng.randrange(3)]
    if rng.randrange(2):
        schema["additionalProperties"] = False
    return schema


def check_random_schemas(server, count, seed, clients=8):
    """Every finished reply validates; returns how many finished."""
    rng = random.Random(seed)
    schemas = [random_schema(rng) for _ in range(count)]

    def finishes(number):
        schema = schemas[number]
        if schema.get("type") != "object":
            schema = {"type": "object", "properties": {"value": schema}, "required": ["value"]}
        body = {"messages": ASK, "max_tokens": 300, "temperature": 1, "seed": number}
        choice = server.post(CHAT, {**body, "response_format": schema_format(schema)})["choices"][0]
        if choice["finish_reason"] != "stop":
            return False
        checker = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker(["date", "ipv4"]))
        checker.validate(json.loads(choice["message"]["content"]))
        return True

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(finishes, range(count)))


@pytest.mark.parametrize("seed", range(4))
def test_random_schemas_at_temperature_one(server, seed):
    assert check_random_schemas(server, 250, seed) >= 225


def chain(count):
    return "\n".join(f"r{i}: r{i + 1}" for i in range(count)) + f'\nr{count}: "a"\nstart: r0'


def references(count):
    definitions = {f"a{i}": {"$ref": f"#/$defs/a{i + 1}"} for i in range(count)}
    return {"$ref": "#/$defs/a0", "$defs": {**definitions, f"a{count}": {"type": "integer", "maximum": 9, "minimum": 0}}}


HOSTILE = {
    "rules one behind the other": {"grammar": chain(2300)},
    "terminals one in the other": {"grammar": "\n".join(f'T{i}: "a" T{i + 1} | "b"' for i in range(1300)) + '\nT1300: "c"\nstart: T0'},
    "brackets": {"grammar": "start: " + "(" * 15000 + '"a"' + ")" * 15000},
    "llama.cpp's brackets": {"grammar": "root ::= " + "(" * 15000 + '"a"' + ")" * 15000},
    "a rule that is itself": {"grammar": 'start: start start | "a"'},
    "repetitions of repetitions": {"grammar": 'start: a{1000}\na: b{1000}\nb: c{1000}\nc: "x"'},
    "an expression to a power": {"regex": "((a{100}){100}){100}"},
    "an expression of many states": {"regex": "(a|b)*a(a|b){30}"},
    "too long": {"regex": "a" * 40000},
    "references one to the other": {"response_format": schema_format(references(5000))},
    "references in a circle": {"response_format": schema_format({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}})},
    "many properties": {"response_format": schema_format({"type": "object", "properties": {f"k{i}": {"type": "string"} for i in range(3000)}})},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_grammar_ends_the_server_or_takes_long(server, name):
    body = {"messages": ASK, "max_tokens": 10, **HOSTILE[name]}
    status, _, reply = server.ask("POST", CHAT, body)
    assert status in (200, 400), reply
    assert server.ask("GET", "/health")[0] == 200
