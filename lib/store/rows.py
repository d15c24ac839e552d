"""What is read as it is kept: each row as one of a kind, whose fields are named as its columns."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from pgvector import Vector


def one[Row](kind: Callable[..., Row], rows: Sequence[Mapping[str, Any]]) -> Row | None:
    """Make one of a kind of the first row, if there is any."""
    return next(iter(every(kind, rows)), None)


def every[Row](kind: Callable[..., Row], rows: Sequence[Mapping[str, Any]]) -> tuple[Row, ...]:
    """Make one of a kind of each row."""
    return tuple(kind(**{name: _plain(value) for name, value in row.items()}) for row in rows)


def _plain(value: Any) -> Any:
    match value:
        case Vector():
            return value.to_numpy()
        case UUID():  # asyncpg has its own kind, which not everybody knows to write down
            return UUID(int=value.int)
    return value
