"""The commands in a request to Upstash's REST API, and the replies in its answer."""

import base64
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson

from dev.upstash.resp import Reply, ReplyError


class Malformed(ValueError):
    """The request is none of the API's; the message is what the API answers."""


def parse_one(body: bytes) -> list[str]:
    """`["SET", "key", "value"]`."""
    return _command(_array(body))


def parse_many(body: bytes) -> list[list[str]]:
    """`[["SET", "key", "value"], ["GET", "key"]]`."""
    commands = [_command(command) for command in _array(body)]
    if not commands:
        raise Malformed("ERR empty pipeline request")
    return commands


def parse_path(path: str, query: str, body: bytes) -> list[str]:
    """`/set/key` with the body as the last argument, then `?EX=60` as two more."""
    command = [unquote(part) for part in path.strip("/").split("/")]
    if body:
        command.append(body.decode(errors="replace"))
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name != "_token":
            command += [name, value] if value else [name]
    return _command(command)


def result(reply: Reply, *, encoded: bool) -> dict[str, Any]:
    """One reply as the API's JSON; `encoded`: with base64 for every string but `OK`."""
    if isinstance(reply, ReplyError):
        return {"error": reply.message}
    return {"result": _value(reply, encoded=encoded)}


def _value(reply: Reply, *, encoded: bool) -> Any:
    match reply:
        case list():
            return [_value(item, encoded=encoded) for item in reply]
        case ReplyError(message):
            return message
        case bytes() if encoded and reply != b"OK":
            return base64.b64encode(reply).decode()
        case bytes():
            return reply.decode(errors="replace")
        case _:
            return reply


def _array(body: bytes) -> list[Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"ERR failed to parse request: {error}") from None
    if not isinstance(value, list):
        raise Malformed("ERR expected JSON array")
    return value


def _command(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise Malformed("ERR expected JSON array")
    if not value:
        raise Malformed("ERR empty command")
    return [_argument(argument) for argument in value]


def _argument(value: Any) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case int() | float():
            return str(value)
        case None:
            raise Malformed("ERR null args are not supported")
        case _:
            raise Malformed(f"ERR unsupported arg type: {type(value).__name__}")
