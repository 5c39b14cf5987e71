"""Requests to the messages API, as short as a test wants to write them."""

MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


def text(words, mark=None):
    return {"type": "text", "text": words, **({"cache_control": mark} if mark else {})}


def user(*blocks):
    return {"role": "user", "content": list(blocks)}


def arguments(options):
    """The client no longer names the sampling parameters; older ones send them."""
    options = {"model": "any", "max_tokens": 8, "temperature": 0, **options}
    body = {name: options.pop(name) for name in ("temperature", "top_p", "top_k") if name in options}
    return {**options, "extra_body": body}


def create(client, messages="Say hello.", **options):
    if isinstance(messages, str):
        messages = [user(text(messages))]
    return client.messages.create(messages=messages, **arguments(options))


def raw(client, messages, **options):
    """(message, headers)"""
    response = client.messages.with_raw_response.create(messages=messages, **arguments(options))
    return response.parse(), response.headers


def counts(usage):
    return usage.cache_read_input_tokens, usage.cache_creation_input_tokens, usage.input_tokens


def total(client, messages, **options):
    return client.messages.count_tokens(model="any", messages=messages, **options).input_tokens


def tool(name, description="Looks something up.", mark=None):
    schema = {"type": "object", "properties": {"q": {"type": "string"}}}
    shown = {"name": name, "description": description, "input_schema": schema}
    return {**shown, "cache_control": mark} if mark else shown
