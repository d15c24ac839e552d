"""What a client of Postgres sends, cut into whole messages."""

ENCRYPTION = {80877103, 80877104}  # SSLRequest, GSSENCRequest: the startup packet comes after them


class Frames:
    """Cuts what a client sends into whole messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._typed = False

    def feed(self, data: bytes) -> list[tuple[bool, bytes]]:
        """Return the messages that are complete now, each with whether it has a type byte."""
        self._buffer += data
        messages = []
        at = 0
        while True:
            length_at = at + self._typed
            length = int.from_bytes(self._buffer[length_at : length_at + 4])
            end = length_at + max(length, 4)
            if end > len(self._buffer):
                break
            message = bytes(self._buffer[at:end])
            messages.append((self._typed, message))
            if not self._typed:
                self._typed = int.from_bytes(message[4:8]) not in ENCRYPTION
            at = end
        del self._buffer[:at]
        return messages
