"""What the tables and Redis hold of one user, whatever the routes say."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from dev.demo.platform import Platform
from lib.cache import key

if TYPE_CHECKING:
    from asyncpg import Connection

LOGGED = """
SELECT count(*) FROM action_log WHERE user_id = $1
"""

SHOWN = """
SELECT post_id, array_remove(array_agg(action_type ORDER BY action_type), NULL) AS actions
FROM embedding.showings
JOIN embedding.impressions USING (rec_id)
LEFT JOIN embedding.responses USING (rec_id, post_id)
WHERE rec_id = $1 AND user_id = $2
GROUP BY post_id, position
ORDER BY position
"""

REMAINS = """
SELECT
  (SELECT count(*) FROM user_embeddings WHERE user_id = $1)
    + (SELECT count(*) FROM embedding.showings WHERE user_id = $1)
    + (SELECT count(*) FROM embedding.events WHERE user_id = $1)
"""


@dataclass(frozen=True)
class Shown:
    """A post that was shown, and which types of action came of it."""

    post: UUID
    actions: tuple[str, ...]


@dataclass(frozen=True)
class Remains:
    """What is kept of a user: rows in our tables of Postgres, and whether Redis has the key."""

    rows: int
    cached: bool


async def count_logged(connection: "Connection[Any]", user: UUID) -> int:
    """Count the user's actions in the platform's log."""
    count: int = await connection.fetchval(LOGGED, user)
    return count


async def read_shown(connection: "Connection[Any]", user: UUID, rec_id: UUID) -> tuple[Shown, ...]:
    """Read what is kept of an answer that the user was shown, in its order."""
    rows = await connection.fetch(SHOWN, rec_id, user)
    return tuple(Shown(row["post_id"], tuple(row["actions"])) for row in rows)


async def read_remains(platform: Platform, user: UUID) -> Remains:
    """Read what there is of the user now: vector, answers shown, ids of actions."""
    rows = await platform.connection.fetchval(REMAINS, user)
    return Remains(rows, bool(await platform.redis.exists(key(user))))
