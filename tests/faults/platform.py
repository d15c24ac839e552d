"""The platform: its users, its posts, and what happens to them, as its own application does it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import numpy as np

from dev.ageing import age_runs
from lib.store import due, erasures
from tests.scene import act, embed

USERS = tuple(UUID(int=number) for number in range(1, 9))
POSTS = tuple(UUID(int=number) for number in range(101, 109))
EMBEDDED = 7  # the last one gets its vector later, if at all

MAKE = "INSERT INTO users VALUES ($1) ON CONFLICT DO NOTHING"
REBUILD = (
    "INSERT INTO embedding.due (user_id, reason)"
    " SELECT DISTINCT user_id, 'rebuild' FROM action_log WHERE post_id = $1"
    " ON CONFLICT DO NOTHING"
)
TABLES = (
    "SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables"
    " WHERE schemaname IN ('public', 'embedding')"
)
AGE = (
    "UPDATE action_log SET created_at = created_at - $1::INTERVAL",
    "UPDATE user_embeddings SET generated_at = generated_at - $1::INTERVAL",
    "UPDATE embedding.erasures SET erased_at = erased_at - $1::INTERVAL",
)


def vector(seed: int) -> np.ndarray:
    """Return an embedding, (384,)."""
    return np.random.default_rng(seed).normal(size=384)


@dataclass
class Platform:
    """What it has, and how it tells of what no window shows: by calls, or by `triggers`.

    `other`: a connection for a transaction that stays open.
    """

    connection: asyncpg.Connection
    other: asyncpg.Connection
    triggers: bool = False
    late: asyncpg.transaction.Transaction | None = None
    posts: set[UUID] = field(default_factory=set)
    embedded: set[UUID] = field(default_factory=set)

    async def begin(self, *, triggers: bool) -> None:
        """Begin anew, with all users and posts and nothing done; db/triggers.sql is there."""
        await self.connection.execute(
            f"TRUNCATE {await self.connection.fetchval(TABLES)} RESTART IDENTITY CASCADE"
        )
        self.triggers = triggers
        switch = "ENABLE" if triggers else "DISABLE"
        for table in ("posts", "action_log"):
            await self.connection.execute(f"ALTER TABLE {table} {switch} TRIGGER USER")
        self.posts, self.embedded = set(POSTS), set(POSTS[:EMBEDDED])
        await self.connection.executemany(MAKE, [(user,) for user in USERS])
        await self.connection.executemany(
            "INSERT INTO posts (id) VALUES ($1)", [(post,) for post in POSTS]
        )
        for number, post in enumerate(POSTS[:EMBEDDED]):
            await embed(self.connection, post, vector(number))

    async def pass_time(self, seconds: float) -> bool:
        """Let all that was ever done have been done so much earlier, as if time had passed.

        Return whether it did: it does not while a transaction is open, which would be too long.
        """
        if self.late:
            return False
        async with self.connection.transaction():
            await self.connection.execute("SET LOCAL session_replication_role = replica")
            for statement in AGE:
                await self.connection.execute(statement, timedelta(seconds=seconds))
            await age_runs(self.connection, seconds)
        return True

    async def act(self, user: UUID, post: UUID, kind: str = "like_post") -> None:
        await act(self.connection, user, post, kind)

    async def act_late(self, user: UUID, post: UUID, days: int) -> None:
        async with self.connection.transaction():
            at = datetime.now(UTC) - timedelta(days=days)
            await act(self.connection, user, post, at=at)
            if not self.triggers:
                await due.report_late_actions(self.connection, [user])

    async def act_uncommitted(self, user: UUID, post: UUID) -> None:
        """Log an action in a transaction that stays open until `commit`."""
        if self.late is None:
            self.late = self.other.transaction()
            await self.late.start()
        await act(self.other, user, post)

    async def commit(self) -> None:
        if self.late:
            await self.late.commit()
            self.late = None

    async def undo(self, user: UUID, post: UUID) -> None:
        """Delete what a user did with a post from the log."""
        async with self.connection.transaction():
            if not self.triggers:
                await due.report_deleted_actions(self.connection, [user])
            await self.connection.execute(
                "DELETE FROM action_log WHERE user_id = $1 AND post_id = $2", user, post
            )

    async def delete(self, user: UUID) -> None:
        await self.connection.execute("DELETE FROM users WHERE id = $1", user)

    async def make_again(self, user: UUID, post: UUID) -> None:
        """Make a user again who was deleted, acting at once."""
        async with self.connection.transaction():
            await self.connection.execute(MAKE, user)
            await act(self.connection, user, post)

    async def delete_post(self, post: UUID) -> None:
        async with self.connection.transaction():
            if not self.triggers:
                await due.report_deleted_posts(self.connection, [post])
            await self.connection.execute("DELETE FROM posts WHERE id = $1", post)
        self.posts.discard(post)
        self.embedded.discard(post)

    async def embed(self, post: UUID, seed: int) -> None:
        """Embed a post, late or again; what it is again is reported with it."""
        if post not in self.posts:
            return
        async with self.connection.transaction():
            await embed(self.connection, post, vector(seed))
            if post in self.embedded:
                await self.connection.execute(REBUILD, post)
        self.embedded.add(post)

    async def erase(self, user: UUID) -> None:
        await erasures.erase(self.connection, user)

    async def opt_out(self, user: UUID) -> None:
        await erasures.opt_out(self.connection, user)

    async def opt_in(self, user: UUID) -> None:
        await erasures.opt_in(self.connection, user)
