"""The keys that QStash signs with."""

from lib.qstash.connection import TOTAL_SECONDS, calling, connect, disconnect
from lib.settings import QueueSettings, SigningKeys


def signing_keys(settings: QueueSettings) -> SigningKeys:
    """Return the keys that QStash signs with; raise Unavailable."""
    client = connect(settings.url, settings.token, TOTAL_SECONDS)
    try:
        with calling(settings.token, settings.bypass):
            found = client.signing_key.get()
    finally:
        disconnect(client)
    return SigningKeys(found.current, found.next)
