"""The stand-in's time."""

import time


class Clock:
    """Unix time in seconds that can be moved forward, never back."""

    def __init__(self) -> None:
        self._ahead = time.time() - time.monotonic()

    def now(self) -> float:
        """Return the real time plus whatever was jumped."""
        return time.monotonic() + self._ahead

    def jump(self, seconds: float) -> None:
        """Move the clock `seconds` forward; ValueError if negative."""
        if seconds < 0:
            raise ValueError(f"a clock only jumps forward, not by {seconds} s")
        self._ahead += seconds
