"""JSON read slowly and by hand: RFC 8259, and no key twice."""

import re
from typing import Any

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None}
_ESCAPES = {
    '"': '"',
    "\\": "\\",
    "/": "/",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
}
_BLANKS = " \t\n\r"
DEEPEST = 200
"""Deeper than this nobody here decides: readers differ, and may."""


class NoJson(ValueError):
    """What RFC 8259 does not spell."""


class TooDeep(Exception):
    """Nested more deeply than is decided here."""


def read(data: bytes) -> Any:
    """Return the value that `data` spells in UTF-8; ValueError (NoJson) if none, or TooDeep."""
    text = data.decode()
    value, at = _value(text, _blanks(text, 0), 0)
    if _blanks(text, at) != len(text):
        raise NoJson("something follows")
    return value


def _value(text: str, at: int, depth: int) -> tuple[Any, int]:
    if depth > DEEPEST:
        raise TooDeep
    match text[at : at + 1]:
        case "{":
            return _members(text, at + 1, depth)
        case "[":
            return _elements(text, at + 1, depth)
        case '"':
            return _string(text, at + 1)
    for word, value in _WORDS.items():
        if text.startswith(word, at):
            return value, at + len(word)
    number = _NUMBER.match(text, at)
    if number is None:
        raise NoJson("no value")
    whole = not (number[2] or number[3])
    return (int(number[0]) if whole else float(number[0])), number.end()


def _members(text: str, at: int, depth: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    at = _blanks(text, at)
    if text[at : at + 1] == "}":
        return found, at + 1
    while True:
        if text[at : at + 1] != '"':
            raise NoJson("no name")
        name, at = _string(text, at + 1)
        at = _blanks(text, at)
        if text[at : at + 1] != ":" or name in found:
            raise NoJson("no colon, or a name twice")
        found[name], at = _value(text, _blanks(text, at + 1), depth + 1)
        at = _blanks(text, at)
        if text[at : at + 1] == "}":
            return found, at + 1
        at = _comma(text, at)


def _elements(text: str, at: int, depth: int) -> tuple[list[Any], int]:
    found: list[Any] = []
    at = _blanks(text, at)
    if text[at : at + 1] == "]":
        return found, at + 1
    while True:
        value, at = _value(text, at, depth + 1)
        found.append(value)
        at = _blanks(text, at)
        if text[at : at + 1] == "]":
            return found, at + 1
        at = _comma(text, at)


def _comma(text: str, at: int) -> int:
    if text[at : at + 1] != ",":
        raise NoJson("no comma")
    return _blanks(text, at + 1)


def _string(text: str, at: int) -> tuple[str, int]:
    units: list[str] = []
    while True:
        character = text[at : at + 1]
        if character == '"':
            return _paired("".join(units)), at + 1
        if character < " ":  # the end, too
            raise NoJson("a string without end, or with a control character")
        if character != "\\":
            units.append(character)
            at += 1
        elif text[at + 1 : at + 2] == "u":
            digits = text[at + 2 : at + 6]
            if not re.fullmatch("[0-9a-fA-F]{4}", digits):
                raise NoJson("no four digits")
            units.append(chr(int(digits, 16)))
            at += 6
        else:
            escape = text[at + 1 : at + 2]
            if escape not in _ESCAPES:
                raise NoJson("no escape")
            units.append(_ESCAPES[escape])
            at += 2


def _paired(text: str) -> str:
    """Join the halves of characters beyond 16 bits; a half alone stays."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _blanks(text: str, at: int) -> int:
    while text[at : at + 1] and text[at] in _BLANKS:
        at += 1
    return at
