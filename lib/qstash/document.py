"""The one way JSON is read from outside: strictly."""

import json
from typing import Any, NoReturn


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that `body` is, in UTF-8.

    ValueError for anything else, and for what readers disagree about: a key that comes twice, NaN
    and infinities by name, a byte order mark, numbers of thousands of digits.
    """
    try:
        value = json.loads(
            body.decode(), object_pairs_hook=_once_each, parse_constant=_refuse_constant
        )
    except RecursionError:
        raise ValueError("expected an object nested less deeply") from None
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, got {type(value).__name__}")  # noqa: TRY004  # of JSON
    return value


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("expected every key once")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"expected a number, got {name}")
