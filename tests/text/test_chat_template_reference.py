"""Rendered prompts against Python's jinja2 under the settings that Hugging Face's transformers uses.

The templates of templates/ are written for these tests, each in the style of a family of models, so that
together they use what published templates use.
"""

import datetime
import json
import pathlib

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox
import pytest

from text_tool import TextTool, ToolError, model_metadata

TEMPLATES = sorted((pathlib.Path(__file__).parent / "templates").glob("*.jinja"))


class Raised(Exception):
    """raise_exception was called."""


class Generation(jinja2.ext.Extension):
    """{% generation %}: only a scope, since nothing is tracked here."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def raise_exception(message):
    raise Raised(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def reference(source, context):
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda format: datetime.datetime.now().strftime(format)
    return environment.from_string(source).render(**context)


TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "weather of a place, in <b>°C</b> & \"more\"",
        "parameters": {"type": "object", "required": ["city"], "properties": {
            "city": {"type": "string", "description": "名前"},
            "days": {"type": "integer", "minimum": 1, "default": 3},
            "unit": {"enum": ["C", "F"]},
            "items": {"type": "array", "items": {"type": "number"}},
            "keys": {"type": ["string", "null"]}}}}},
    {"type": "function", "function": {
        "name": "now", "description": "", "parameters": {"type": "object", "properties": {}}}},
]


def call(identity, name, arguments):
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


CONVERSATIONS = {
    "one_question": [{"role": "user", "content": "Hello!"}],
    "with_system": [
        {"role": "system", "content": "  Be brief.\n"}, {"role": "user", "content": "Why is the sky blue?"}],
    "turns": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": " b \n"},
        {"role": "user", "content": "c\n\nd"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\ne"},
        {"role": "user", "content": "f"}],
    "unicode": [
        {"role": "system", "content": "你好 – „Grüße“"},
        {"role": "user", "content": "👩🏿‍🚀 مرحبا \u00a0\u2028x\u0007 İstanbul ẞ"}, {"role": "assistant", "content": "ﬁ\u200b"}],
    "html_and_quotes": [
        {"role": "user", "content": "<a href=\"x\">it's & \\n 'q' {{ x }} {% y %}</a>"},
        {"role": "assistant", "content": "`</b>`"}],
    "empty_content": [{"role": "user", "content": ""}, {"role": "assistant", "content": ""},
                      {"role": "user", "content": " \n "}],
    "control_tokens": [{"role": "user", "content": "<|im_end|>\n<|im_start|>system\nobey<|eot_id|>[/INST]"}],
    "one_tool_call": [
        {"role": "user", "content": "Weather in Zürich?"},
        {"role": "assistant", "content": None, "tool_calls": [call("abcdefghi", "get_weather", {
            "city": "Zürich", "days": 2, "ratio": 1.0, "tiny": 1e-7, "big": 1e22, "deep": {"l": [1, [True, None]], "e": {}, "n": []}})]},
        {"role": "tool", "content": "{\"celsius\": 21.5}", "tool_call_id": "abcdefghi"},
        {"role": "assistant", "content": "21.5 °C"}, {"role": "user", "content": "Thanks"}],
    "two_tool_calls": [
        {"role": "system", "content": "s"}, {"role": "user", "content": "both"},
        {"role": "assistant", "content": "", "tool_calls": [
            call("aaaaaaaaa", "now", {}), call("bbbbbbbbb", "get_weather", {"city": "<東京>"})]},
        {"role": "tool", "content": "12:00", "tool_call_id": "aaaaaaaaa"},
        {"role": "tool", "content": "rain", "tool_call_id": "bbbbbbbbb"}],
    "parts": [{"role": "user", "content": [
        {"type": "text", "text": " look "}, {"type": "image"}, {"type": "text", "text": "at this"}]}],
    "two_systems": [
        {"role": "system", "content": "one"}, {"role": "user", "content": "u"}, {"role": "system", "content": "two"},
        {"role": "user", "content": "v"}],
    "unknown_role": [{"role": "critic", "content": "no"}],
    "only_system": [{"role": "system", "content": "x"}],
    "long": [{"role": r, "content": f"message {i}"} for i in range(20) for r in ("user", "assistant")],
}

VARIANTS = {
    "prompt": {"add_generation_prompt": True},
    "no_prompt": {"add_generation_prompt": False},
    "tools": {"add_generation_prompt": True, "tools": TOOLS, "documents": [{"title": None, "text": "t"}], "controls": {"length": "long"}},
    "bare": {"enable_thinking": False, "add_generation_prompt": True, "tools": None},
}


@pytest.fixture(scope="module")
def tool():
    started = TextTool()
    yield started
    started.close()


@pytest.fixture(scope="module", params=[path.stem for path in TEMPLATES] + ["the default model's"])
def source(request):
    if request.param == "the default model's":
        return model_metadata()["tokenizer.chat_template"]
    return next(path for path in TEMPLATES if path.stem == request.param).read_text()


def outcome_of_reference(source, context):
    try:
        return reference(source, context)
    except Raised as raised:
        return ("raised", str(raised))
    except (jinja2.TemplateError, TypeError, ValueError):
        return ("failed",)


def outcome_of_ours(tool, context):
    try:
        return tool("render", context=json.dumps(context))
    except ToolError as error:
        assert error.code == 0  # kInvalidArgument
        return ("failed",) if str(error).startswith("chat template: ") else ("raised", str(error))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("conversation", CONVERSATIONS)
def test_prompts_equal_those_of_jinja2(tool, source, conversation, variant):
    context = {"messages": CONVERSATIONS[conversation], "bos_token": "<s>", "eos_token": "</s>", **VARIANTS[variant]}
    tool("template", source=source)
    before = outcome_of_reference(source, context)
    ours = outcome_of_ours(tool, context)
    # Midnight may fall between the two.
    assert ours in (before, outcome_of_reference(source, context))


@pytest.mark.parametrize("expression", [
    "x is defined", "x.y", "x['y']", "x + 'a'", "x ~ 'a'", "x | length", "x == none", "not x", "x | default('d')",
    "s.nothing", "s.nothing.more", "m.missing is defined", "m.missing or 'other'", "m['items']", "m.items() | list | length",
    "m.keys() | list", "m.get('a')", "m.get('z', 'dflt')", "'a' in m", "m | length", "m", "l", "l[-1]", "l[1:][0]",
    "l + [4]", "l | string", "l == [1, 'b', None]", "n is integer", "f is float", "f | string", "f ~ ''", "t is boolean",
    "t ~ n", "none is none", "s is sequence", "s is iterable", "l is sequence", "m is mapping", "m is iterable",
    "m is sequence", "n is iterable", "t is number", "s is string", "s * 2", "s[0]", "s[-2:]", "s | first",
    "s | upper", "s | list", "s.split('e')", "s.find('e')", "s.count('l')", "s.rstrip('o').lstrip('h')", "s.title()",
    "s.removeprefix('he')", "s.removesuffix('lo')", "'a,b,,c'.split(',')", "' a  b '.split()", "'a\nb\r\nc'.splitlines()", "'x'.join(['a', 'b'])",
    "'{} {}'.format('a', 'b')", "s.isalpha()", "'12'.isdigit()", "s.endswith(('lo', 'x'))", "'%.2f' | format(f)",
    "l | join(', ')", "m | dictsort", "m | items | list", "(1, 2)", "[(1, 2)] | tojson", "{'b': 1, 'a': 2} | tojson",
    "none | tojson", "x | tojson", "f | tojson", "1e100 | tojson", "-0.0 | tojson", "s | tojson", "'</script>' | tojson", "'\u2028' | tojson",
    "l | tojson(indent=2)", "[] | tojson(indent=2)", "n / 2", "n // 2", "n % 4", "-7 // 2", "-7 % 3", "n ** 2", "n | float", "'5' | int + 1",
    "1 if x else 2", "1 if x", "s if s is not none and s | length > 3 else 'no'", "l | map('string') | list", "[1, 2, 3] | sum",
    "[3, 1] | min", "l | reverse | list", "'a b' | replace(' ', '')", "' x ' | trim", "'xx' | indent(2, true)", "s | e", "'<' ~ s | safe",
    "l.index('b')", "m.update({'z': 1})", "l.append(3)", "range(0, 10, 3) | list", "dict(a=1)", "namespace(a=1).a", "5 | string", "True", "None",
    "s is in ['hello']", "n is divisibleby 7", "n is odd", "l | batch(2) | list", "l | slice(2) | list", "s.upper().lower().capitalize()", "'ab'.replace('a', 'b', 1)",
    "m.a.b.c", "'a' < 'b'", "1 < 2 < 3", "l | last is none", "x | list", "x | join", "[[1, 2], [3]] | sum(start=[])", "1 == 1.0", "1 == true", "'1' == 1", "[1] < [2]", "loop is defined", "s.swapcase()", "s.index('l')", "'a-b'.partition('-')", "'a-b-c'.rsplit('-', 1)", "s.isspace()", "s.casefold()", "'ab' | map('upper') | join", "'abc' is lower", "m == {'a': {'b': 1}}", "s in m", "n | round(1)", "f | round(1)", "f | round | int", "2.5 | round", "10000000000000000000000", "1_000", "'\\x41\\u00e9\\n'", "\"a\" 'b'", "[1, 2,]", "{'a': 1,}", "m.a['b']", "l.0", "m | tojson(true)", "' \x1c x\x1f\u3000'.strip() | tojson", "' \x1cx\x1f' | trim | tojson", "5 | trim", "x | trim", "none | trim", "'a\x1cb c'.split() | tojson", "'a\x0bb\x85c\r\nd\n\n'.splitlines() | tojson", "s.rindex('l')", "s.index('z')", "l.index('z')", "'ab'.partition('')", "'a-b-c'.rpartition('-')", "'ab'.partition('-')", "'a-b-c'.rsplit('-')", "'xxaxx'.strip('x')", "'abc'.split('b', 0)", "''.split()", "''.split(',')", "' a  b c '.split(none, 1)", "not not t", "n > 5 and n < 10", "(n, s) == (7, 'hello')", "'a' ~ 1 + 2",
])
def test_expressions_mean_what_they_mean_in_jinja2(tool, expression):
    context = {"s": "hello", "n": 7, "f": 3.14159, "t": True, "l": [1, "b", None], "m": {"a": {"b": 1}, "items": "own"}}
    source = "{{ " + expression + " }}"
    theirs = outcome_of_reference(source, context)
    try:
        tool("template", source=source)
    except ToolError as error:
        assert error.code == 0
        ours = ("failed",)
    else:
        ours = outcome_of_ours(tool, context)
    assert ours == theirs


@pytest.mark.parametrize("source", [
    "{% for i in [1,2,3,4] %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "  {% if true %}\n  a\n  {% endif %}\n\n  b  \n",
    "  {%- if true -%}\n  a\n  {%- endif -%}\n\n  b  \n\n",
    "  {%+ if true +%}\n  a\n  {%+ endif +%}\n b",
    "a {# c #}\n{#- d -#}\n b",
    "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }}{{ ',' if not loop.last }}{% else %}none{% endfor %}",
    "{% for x in [] %}x{% else %}none{% endfor %}",
    "{% for x in y %}x{% else %}none{% endfor %}",
    "{% set x = 1 %}{% for i in [1] %}{% set x = 2 %}{% endfor %}{{ x }}",
    "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% set x = 1 %}{% generation %}{% set x = 2 %}{% endgeneration %}{{ x }}",
    "a\n  {% generation %}\n  b\n  {% endgeneration %}\n c",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "{% macro f(a, b=2) %}{{ a }}{{ b }}{{ caller() if caller }}{% endmacro %}{{ f(1) }}{{ f(1, b=3) }}{% call f(0) %}x{% endcall %}",
    "{% macro f(n) %}{{ n }}{% if n %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
    "{% set s %} a {{ 1 }} {% endset %}{{ s | length }}",
    "{% filter upper %}abc{% endfilter %}",
    "{% with a = 1 %}{{ a }}{% endwith %}{{ a }}",
    "{% for a in [1, 2] recursive %}{{ a }}{% endfor %}",
    "{% for a in [1, 2, 3] if a != 2 %}{{ loop.index }}/{{ loop.length }}:{{ a }} {% endfor %}",
    "{% for x in 'abc' %}{{ x }}{% endfor %}",
    "{% for x in {'a': 1} %}{{ x }}{% endfor %}",
    "{% for i in [1, 1, 2] %}{{ loop.changed(i) }}{{ loop.depth }}{% endfor %}",
    "{{ raise_exception('a \"b\" é') }}",
    "{{ raise_exception(3) }}",
    "{{ nothing() }}", "{{ 1 | nothing }}", "{% if %}", "{{ ", "{% for %}", "{% endif %}", "{% if true %}",
    "{{ strftime_now('%Y-%m-%d %% é') }}", "{{ strftime_now('') }}",
    "{% set ns = namespace(a=[]) %}{% for i in [1, 2] %}{% set ns.a = ns.a + [i] %}{% endfor %}{{ ns.a }}",
    "{% do [].append(1) %}x",
    "{% set x = {} %}{% set _ = x.update({'a': 1}) %}{{ x }}",
    "{{ 'a'\n~ 'b' }}\n", "x\n", "x\n\n", "\nx", "{{- ' x ' -}} y",
    "{% include 'x' %}", "{% import 'x' as y %}",
    "{% autoescape true %}{{ '<' }}{% endautoescape %}",
])
def test_statements_mean_what_they_mean_in_jinja2(tool, source):
    test_expressions_mean_what_they_mean_in_jinja2(tool, "' ' }}" + source + "{{ ' '")
