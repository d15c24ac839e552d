"""What a page says to Postgres, taken down call by call."""

import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from enum import Enum
from itertools import count
from types import TracebackType
from typing import Any, cast

from lib.settings import DatabaseSettings
from lib.store.database import Connection, Database


class Move(Enum):
    """What is not a method of a connection."""

    ACQUIRE = "acquire"
    RELEASE = "release"
    BEGIN = "BEGIN"
    END = "COMMIT"


@dataclass(frozen=True)
class Call:
    """One call, on the connection of that number, and from when to when it was awaited (s)."""

    connection: int
    what: Move | str
    arguments: Sequence[Any]
    keywords: Mapping[str, Any]
    begun: float
    ended: float

    @property
    def statement(self) -> str | None:
        """The SQL, if there is any."""
        given = self.arguments[0] if self.arguments else None
        return given if isinstance(given, str) else None


@dataclass(frozen=True)
class Borrowing:
    """All that was said on a connection from when it was taken until it was given back."""

    calls: Sequence[Call]

    @property
    def begun(self) -> float:
        """When it was asked for."""
        return self.calls[0].begun

    @property
    def ended(self) -> float:
        """When it was given back."""
        return self.calls[-1].ended


def borrowings(calls: Sequence[Call]) -> list[Borrowing]:
    """Sort calls by connection, in the order in which these were asked for."""
    by_number: dict[int, list[Call]] = defaultdict(list)
    for call in calls:
        by_number[call.connection].append(call)
    return sorted(map(Borrowing, by_number.values()), key=lambda borrowing: borrowing.begun)


class Tape:
    """Takes calls down, in the order in which they end."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.connections = count()

    def note(self, connection: int, what: Move | str, begun: float, *given: Any, **kw: Any) -> None:
        """Take a call down that ends now."""
        self.calls.append(Call(connection, what, given, kw, begun, time.perf_counter()))


class TapedDatabase(Database):
    """A database of whose connections everything is taken down while it has a tape."""

    def __init__(self, settings: DatabaseSettings) -> None:
        super().__init__(settings)
        self.tape: Tape | None = None

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection."""
        tape = self.tape
        if tape is None:
            async with super().connection() as connection:
                yield connection
            return
        number, begun = next(tape.connections), time.perf_counter()
        async with super().connection() as connection:
            tape.note(number, Move.ACQUIRE, begun)
            yield cast("Connection", TapedConnection(connection, tape, number))
            begun = time.perf_counter()
        tape.note(number, Move.RELEASE, begun)


@contextmanager
def taping(database: TapedDatabase) -> Iterator[list[Call]]:
    """Tape the database within the block; the list is whole after it."""
    tape = database.tape = Tape()
    try:
        yield tape.calls
    finally:
        database.tape = None


class TapedConnection:
    """Passes everything on to a connection."""

    def __init__(self, connection: Connection, tape: Tape, number: int) -> None:
        self._connection = connection
        self._tape = tape
        self._number = number

    def transaction(self, **options: Any) -> "TapedTransaction":
        transaction = self._connection.transaction(**options)
        return TapedTransaction(transaction, self._tape, self._number, options)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._connection, name)

        async def taped(*arguments: Any, **keywords: Any) -> Any:
            begun = time.perf_counter()
            answer = await method(*arguments, **keywords)
            self._tape.note(self._number, name, begun, *arguments, **keywords)
            return answer

        return taped


class TapedTransaction:
    """Passes its beginning and its end on to a transaction."""

    def __init__(
        self, transaction: Any, tape: Tape, number: int, options: Mapping[str, Any]
    ) -> None:
        self._transaction = transaction
        self._tape = tape
        self._number = number
        self._options = options

    async def __aenter__(self) -> None:
        begun = time.perf_counter()
        await self._transaction.__aenter__()
        self._tape.note(self._number, Move.BEGIN, begun, **self._options)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        begun = time.perf_counter()
        await self._transaction.__aexit__(kind, error, trace)
        self._tape.note(self._number, Move.END, begun)
