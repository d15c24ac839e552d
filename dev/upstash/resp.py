"""Redis's protocol, from the side of a client that changes nothing in the replies."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ReplyError:
    message: str  # as the server spells it, with its code


type Reply = bytes | int | ReplyError | list[Reply] | None


async def execute(address: Path, commands: Sequence[Sequence[str]]) -> list[Reply]:
    """Send the commands over a connection of their own and return one reply each, in order.

    OSError or EOFError if the server cannot be reached or goes away, ValueError if a reply is not
    RESP2 (a command has changed the protocol).
    """
    reader, writer = await asyncio.open_unix_connection(address)
    try:
        writer.write(b"".join(map(_encode, commands)))
        await writer.drain()
        return [await _read(reader) for _ in commands]
    finally:
        # Abort, not close: what an unfinished command still says is read by nobody.
        writer.transport.abort()


def _encode(command: Sequence[str]) -> bytes:
    parts = [b"*%d\r\n" % len(command)]
    for argument in command:
        value = argument.encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(value), value))
    return b"".join(parts)


async def _read(reader: asyncio.StreamReader) -> Reply:
    line = await reader.readuntil(b"\r\n")
    kind, rest = line[:1], line[1:-2]
    match kind:
        case b"+":
            return rest
        case b"-":
            return ReplyError(rest.decode(errors="replace"))
        case b":":
            return int(rest)
        case b"$":
            size = int(rest)
            return None if size < 0 else (await reader.readexactly(size + 2))[:-2]
        case b"*":
            count = int(rest)
            return None if count < 0 else [await _read(reader) for _ in range(count)]
        case _:
            raise ValueError(f"expected a RESP2 reply, got {line[:40]!r}")
