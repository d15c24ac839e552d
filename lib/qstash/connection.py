"""The official SDK's clients, with time-outs, and its many errors as one of ours."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from qstash import AsyncQStash, QStash
from qstash.errors import QStashError
from qstash.message import PublishResponse

from lib.errors import Unavailable

TOTAL_SECONDS = 10.0
CONNECT_SECONDS = 3.0
_LONGEST_REASON = 300


def connect(url: str, token: str, seconds: float) -> QStash:
    """Return a client for a command: one attempt a call, `seconds` for each thing it waits for."""
    client = QStash(token, base_url=url, retry=False)
    client.http._client.timeout = _timeout(seconds)  # noqa: SLF001  # qstash 3.4 has no argument for it
    return client


def connect_async(url: str, token: str, seconds: float) -> AsyncQStash:
    """Return the same for the running event loop, and for it alone."""
    client = AsyncQStash(token, base_url=url, retry=False)
    client.http._client.timeout = _timeout(seconds)  # noqa: SLF001  # qstash 3.4 has no argument for it
    return client


def disconnect(client: QStash) -> None:
    """Close the client's connections."""
    client.http._client.close()  # noqa: SLF001  # qstash 3.4 has no way to close


async def disconnect_async(client: AsyncQStash) -> None:
    """Close the client's connections."""
    await client.http._client.aclose()  # noqa: SLF001  # qstash 3.4 has no way to close


@contextmanager
def calling(*secrets: str | None) -> Iterator[None]:
    """Turn whatever the SDK raises in the block into Unavailable, naming none of `secrets`."""
    try:
        yield
    except QStashError as error:
        raise Unavailable(f"qstash refused: {shown(str(error), secrets)}") from None
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        # their texts may quote a header
        raise Unavailable(f"qstash is out of reach: {type(error).__name__}") from None
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        # the SDK takes answers apart unchecked
        raise Unavailable(f"qstash answered nonsense: {type(error).__name__}") from None


def message_id(published: object) -> str:
    """Return the id of what was published; Unavailable if the SDK returned none."""
    match published:
        case PublishResponse(message_id=str(identity)) if identity:
            return identity
    raise Unavailable(f"qstash answered nonsense: no message id in {type(published).__name__}")


def missing(error: QStashError) -> bool:
    """Whether QStash answered that there is no such thing."""
    # qstash 3.4 gives the status in the text only
    return str(error).startswith("Request failed with status: 404,")


def shown(text: str, secrets: tuple[str | None, ...]) -> str:
    """Return the text in one line and no longer than is of use, with none of `secrets`."""
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return " ".join(text.split())[:_LONGEST_REASON]


def _timeout(seconds: float) -> httpx.Timeout:
    return httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))
