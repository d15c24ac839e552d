"""What posts are called, for a person to read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from lib.store.database import Connection

LONGEST = 200
"""Characters of a title or a topic."""


@dataclass(frozen=True)
class Heading:
    """A post's title and topic, cut off after LONGEST characters; None where it has none."""

    title: str | None
    topic: str | None


READ_HEADINGS = """
SELECT id::UUID AS id, left(title::TEXT, $2::INTEGER) AS title, left(topic::TEXT, $2) AS topic
FROM posts
WHERE id = ANY ($1::UUID[])
"""


async def read_headings(connection: Connection, posts: Sequence[UUID]) -> Mapping[UUID, Heading]:
    """Return the headings of those posts that still exist."""
    rows = await connection.fetch(READ_HEADINGS, posts, LONGEST)
    return {row["id"]: Heading(row["title"], row["topic"]) for row in rows}
