"""The messages of this deployment that QStash gave up on, in its dead letter queue (DLQ)."""

import base64
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from qstash import AsyncQStash
from qstash.dlq import DlqMessage
from qstash.errors import QStashError

from lib.errors import Malformed
from lib.qstash.connection import (
    TOTAL_SECONDS,
    calling,
    connect_async,
    disconnect_async,
    missing,
    shown,
)
from lib.qstash.delivery import destination, failure_callback
from lib.qstash.message import Message, Page, Snapshot, Start, parse, parse_failure
from lib.settings import QueueSettings

MOST = 1000
"""So many are counted, listed, retried or dropped by one call."""

_A_PAGE = 100
_LAST_MILLISECOND = 2**42
SPELT = re.compile(r"[A-Za-z0-9_-]{1,200}")
"""How QStash spells the ids of dead letters."""


@dataclass(frozen=True)
class DeadLetter:
    """A message all of whose attempts failed.

    `id` is its name among the dead, `what` says what it was, `status` is the last answer's, 0 if
    there was none, and `answer` its beginning, in printable characters.
    """

    id: str
    message_id: str
    url: str
    what: str
    published_at: datetime
    status: int
    answer: str


class DeadLetters:
    """What lies in the DLQ of this deployment's. Every call raises Unavailable if QStash fails it.

    Ours is what was on its way to one of our two URLs; nothing else is shown or touched.
    """

    def __init__(self, client: AsyncQStash, settings: QueueSettings) -> None:
        self._client = client
        self._urls = (destination(settings.app_url), failure_callback(settings.app_url))
        self._secrets = (settings.token, settings.bypass)

    async def count(self, most: int) -> int:
        """Return how many there are, counted up to `most`, which is at most MOST."""
        with calling(*self._secrets):
            return len(await self._ours(most))

    async def list(self) -> list[DeadLetter]:
        """Return them, at most MOST."""
        with calling(*self._secrets):
            return [self._read(letter) for letter in await self._ours(MOST)]

    async def find(self, letter_id: str) -> DeadLetter | None:
        """Return one of ours, or None."""
        with calling(*self._secrets):
            try:
                found = await self._client.dlq.get(letter_id)
            except QStashError as error:
                if missing(error):
                    return None
                raise
            return self._read(found) if found.url in self._urls else None

    async def retry(self, letter: DeadLetter) -> None:
        """Publish it anew, which takes it out of the DLQ."""
        with calling(*self._secrets):
            # qstash 3.4 has no method for it
            await self._client.http.request(path=f"/v2/dlq/retry/{letter.id}", method="POST")

    async def drop(self, letter: DeadLetter) -> None:
        """Remove it for good."""
        with calling(*self._secrets):
            await self._client.dlq.delete(letter.id)

    async def _ours(self, most: int) -> Sequence[DlqMessage]:
        found: list[DlqMessage] = []
        for url in self._urls:
            found += await self._to(url, most - len(found))
        return found

    async def _to(self, url: str, most: int) -> Sequence[DlqMessage]:
        found: list[DlqMessage] = []
        cursor = None
        for _ in range(-(-most // _A_PAGE)):
            page = await self._client.dlq.list(cursor=cursor, count=_A_PAGE, filter={"url": url})
            # asked for, and looked at again: what is another's must never be dropped
            found += [letter for letter in page.messages if letter.url == url]
            cursor = page.cursor
            if not cursor:
                break
        return found[:most]

    def _read(self, found: DlqMessage) -> DeadLetter:
        if not SPELT.fullmatch(found.dlq_id) or not 0 <= found.created_at < _LAST_MILLISECOND:
            raise ValueError("expected an id, and a time in milliseconds")
        answer = found.response_body or ("(no text)" if found.response_body_base64 else "")
        return DeadLetter(
            found.dlq_id,
            found.message_id,
            found.url,
            self._what(found),
            datetime.fromtimestamp(found.created_at // 1000, UTC),
            found.response_status,
            "".join(filter(str.isprintable, shown(answer, self._secrets))),
        )

    def _what(self, found: DlqMessage) -> str:
        body = (found.body or "").encode()
        if found.body_base64:
            body = base64.b64decode(found.body_base64, validate=True)
        try:
            if found.url == self._urls[0]:
                return _named(parse(body))
            return f"report on {_named(parse_failure(body).message)}"
        except Malformed:
            return "malformed"


def _named(message: Message) -> str:
    match message:
        case Start():
            return "start"
        case Page():
            return f"page {message.page} of run {message.run}"
        case Snapshot():
            return f"part {message.page} of the snapshot of run {message.run}"


@asynccontextmanager
async def dead_letters(
    settings: QueueSettings, seconds: float = TOTAL_SECONDS
) -> AsyncIterator[DeadLetters]:
    """Yield what of this deployment's lies in the DLQ of its QStash account.

    Connecting may take CONNECT_SECONDS, and every other wait of a call `seconds`.
    """
    client = connect_async(settings.url, settings.token, seconds)
    try:
        yield DeadLetters(client, settings)
    finally:
        await disconnect_async(client)
