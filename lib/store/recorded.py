"""What is kept of what a user was shown, and of what they did with it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from lib.store.database import Connection
from lib.store.rows import every


@dataclass(frozen=True)
class KeptEvent:
    """An id that an action of the user's came with."""

    event_id: str
    came_at: datetime


@dataclass(frozen=True)
class KeptShowing:
    """An answer that the user got."""

    rec_id: UUID
    arm: str | None
    shown_at: datetime


@dataclass(frozen=True)
class KeptImpression:
    """A post that was in it."""

    rec_id: UUID
    post_id: UUID
    position: int
    score: float | None
    similarity: float | None
    freshness: float | None
    popularity: float | None
    propensity: float | None


@dataclass(frozen=True)
class KeptResponse:
    """What the user did with the post from there."""

    rec_id: UUID
    post_id: UUID
    action_type: str
    acted_at: datetime


@dataclass(frozen=True)
class Recorded:
    """All of it, the newest first."""

    events: tuple[KeptEvent, ...]
    showings: tuple[KeptShowing, ...]
    impressions: tuple[KeptImpression, ...]
    responses: tuple[KeptResponse, ...]


READ_EVENTS = """
SELECT event_id, came_at
FROM embedding.events
WHERE user_id = $1::UUID
ORDER BY came_at DESC, event_id
"""

READ_SHOWINGS = """
SELECT rec_id, arm, shown_at
FROM embedding.showings
WHERE user_id = $1::UUID
ORDER BY shown_at DESC, rec_id
"""

READ_IMPRESSIONS = """
SELECT rec_id, post_id, position, score, similarity, freshness, popularity, propensity
FROM embedding.impressions
JOIN embedding.showings USING (rec_id)
WHERE user_id = $1::UUID
ORDER BY shown_at DESC, rec_id, position
"""

READ_RESPONSES = """
SELECT rec_id, post_id, action_type, acted_at
FROM embedding.responses
JOIN embedding.showings USING (rec_id)
WHERE user_id = $1::UUID
ORDER BY shown_at DESC, rec_id, acted_at, post_id, action_type
"""


async def read_recorded(connection: Connection, user: UUID) -> Recorded:
    """Read what is kept of a user; at one moment in a transaction that sees but one."""
    return Recorded(
        events=every(KeptEvent, await connection.fetch(READ_EVENTS, user)),
        showings=every(KeptShowing, await connection.fetch(READ_SHOWINGS, user)),
        impressions=every(KeptImpression, await connection.fetch(READ_IMPRESSIONS, user)),
        responses=every(KeptResponse, await connection.fetch(READ_RESPONSES, user)),
    )
