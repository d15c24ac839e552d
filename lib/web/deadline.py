"""How long an invocation may go on working."""

import asyncio
from datetime import UTC, datetime

try:
    from vercel_runtime import get_deadline
except ImportError:  # outside Vercel's runtime

    def get_deadline() -> datetime | None:
        """Say that nobody sets a deadline here."""
        return None


MAX_DURATION_SECONDS = 300.0
"""As vercel.json says."""

SHARE = 0.7
"""Of the time left: what has been begun must also be finished, and answered."""


def stop_at() -> float:
    """Return the event loop's time after which nothing new should be begun."""
    deadline = get_deadline()
    left = (deadline - datetime.now(UTC)).total_seconds() if deadline else MAX_DURATION_SECONDS
    return asyncio.get_running_loop().time() + SHARE * left
