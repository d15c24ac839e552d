"""Which message a deduplication id stands for."""

WINDOW = 600.0


class Deduplication:
    """Ids published in the last 10 minutes; a duplicate does not make it longer."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, float]] = {}

    def find(self, key: str, now: float) -> str | None:
        """Return the id of the message that was published under `key`, if it is recent."""
        self._forget(now)
        return self._known[key][0] if key in self._known else None

    def remember(self, key: str, message_id: str, now: float) -> None:
        """Let `key` stand for this message from now on."""
        self._known[key] = (message_id, now)

    def _forget(self, now: float) -> None:
        # in order of publishing: a key is only set again after it was forgotten
        while self._known:
            key, (_, published) = next(iter(self._known.items()))
            if now - published < WINDOW:
                return
            del self._known[key]
