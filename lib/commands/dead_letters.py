"""The messages that QStash gave up on: looking at them, sending them again, dropping them."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence

from lib.qstash.dead_letters import MOST, SPELT, DeadLetter, DeadLetters, dead_letters
from lib.settings import Environ, QueueSettings

DONE = 0
FAILED = 2


def show(environ: Environ) -> int:
    """List this deployment's messages that QStash gave up on."""
    found = asyncio.run(_listed(QueueSettings.load(environ)))
    for letter in found:
        for line in _lines(letter):
            print(line)
    print(_counted(found, ""))
    return DONE


def retry(environ: Environ, letter_id: str | None) -> int:
    """Send one of them again, or all."""
    settings = QueueSettings.load(environ)
    return asyncio.run(_each(settings, letter_id, DeadLetters.retry, " sent again"))


def drop(environ: Environ, letter_id: str | None) -> int:
    """Drop one of them, or all: what a page left undone, the next run does."""
    settings = QueueSettings.load(environ)
    return asyncio.run(_each(settings, letter_id, DeadLetters.drop, " dropped"))


async def _listed(settings: QueueSettings) -> Sequence[DeadLetter]:
    async with dead_letters(settings) as dead:
        return await dead.list()


async def _each(
    settings: QueueSettings,
    letter_id: str | None,
    call: Callable[[DeadLetters, DeadLetter], Awaitable[None]],
    done: str,
) -> int:
    async with dead_letters(settings) as dead:
        found = await (dead.list() if letter_id is None else _one(dead, letter_id))
        if letter_id is not None and not found:
            print(f"{letter_id!r} is no dead letter of this deployment", file=sys.stderr)
            return FAILED
        for letter in found:
            await call(dead, letter)
            print(f"{letter.id}  {letter.what}:{done}", flush=True)
    if letter_id is None:
        print(_counted(found, done))
    return DONE


async def _one(dead: DeadLetters, letter_id: str) -> Sequence[DeadLetter]:
    letter = await dead.find(letter_id) if SPELT.fullmatch(letter_id) else None
    return [letter] if letter else []


def _lines(letter: DeadLetter) -> Iterator[str]:
    status = letter.status or "no answer"
    yield f"{letter.id}  {letter.what}"
    yield f"  {letter.message_id}, published {letter.published_at:%Y-%m-%d %H:%M:%S} UTC"
    yield f"  {letter.url}: {status} {letter.answer}".rstrip()


def _counted(found: Sequence[DeadLetter], done: str) -> str:
    more = ", and there may be more: call again" if len(found) == MOST else ""
    return f"{len(found)} dead letters{done}{more}"
