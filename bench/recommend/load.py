"""The route under load, beside nothing but its statements."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from uuid import UUID, uuid4

import httpx
import numpy as np
from pgvector import Vector

from bench.recommend.world import MODEL, User
from dev.stack import Stack
from lib.embedding.schemes import NEGATIVES
from lib.recommend.feed import SPARE
from lib.store.candidates import HOTTEST, READ_CANDIDATES, settle
from lib.store.database import Database
from lib.store.impressions import KEEP
from lib.store.tastes import MOST_INTERESTS, READ_TASTE

CONNECTIONS = 16
LIMIT = 20

type Ask = Callable[[User], Awaitable[None]]


@dataclass(frozen=True)
class Times:
    """Milliseconds an answer took."""

    median: float
    slow: float
    a_second: float

    @classmethod
    def of(cls, times: Sequence[float], seconds: float) -> "Times":
        half, late = np.percentile(times, [50, 95])
        return cls(float(half), float(late), len(times) / seconds)


async def contest(
    stack: Stack, database: Database, users: Sequence[User], rounds: int
) -> dict[str, Times]:
    """Ask for every user's recommendations, in turn over HTTP and by the statements alone.

    By CONNECTIONS at a time, each of whom asks again once answered.
    """
    headers = {"Authorization": f"Bearer {stack.environ['API_TOKEN']}"}
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    async with httpx.AsyncClient(
        base_url=stack.app_url, headers=headers, limits=limits, timeout=60
    ) as http:

        async def route(user: User) -> None:
            answer = await http.get(f"/api/users/{user.id}/recommendations")
            if answer.status_code != HTTPStatus.OK or len(answer.json()["posts"]) != LIMIT:
                raise RuntimeError(f"expected {LIMIT} posts, got {answer.text[:200]}")

        async def nothing(user: User) -> None:
            answer = await http.get(f"/api/users/{user.id}/recommendations?limit=0")
            if answer.status_code != HTTPStatus.BAD_REQUEST:
                raise RuntimeError(f"expected 400, got {answer.status_code}")

        asks: dict[str, Ask] = {
            "the route": route,
            "its statements": lambda user: statements(database, user),
            "an answer of 400": nothing,
        }
        taken: dict[str, list[float]] = {name: [] for name in asks}
        seconds = dict.fromkeys(asks, 0.0)
        for ask in asks.values():
            await _all(ask, users[:CONNECTIONS])
        for _ in range(rounds):
            for name, ask in asks.items():
                begun = time.perf_counter()
                taken[name] += await _all(ask, users)
                seconds[name] += time.perf_counter() - begun
    return {name: Times.of(times, seconds[name]) for name, times in taken.items()}


async def _all(ask: Ask, users: Sequence[User]) -> list[float]:
    waiting, times = iter(users), []

    async def one_after_the_other() -> None:
        for user in waiting:
            begun = time.perf_counter()
            await ask(user)
            times.append(1000 * (time.perf_counter() - begun))

    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(one_after_the_other())
    return times


async def statements(database: Database, user: User) -> None:
    """Run what an answer runs, and do nothing with what comes back."""
    async with database.connection() as connection:
        await connection.fetchrow(READ_TASTE, user.id, MOST_INTERESTS)
        async with connection.transaction():
            await settle(connection, len(user.known))
            rows = await connection.fetch(
                READ_CANDIDATES,
                user.id,
                MODEL,
                [Vector(user.vector)],
                False,  # noqa: FBT003  # the statement's, not a function's
                LIMIT + SPARE,
                True,  # noqa: FBT003
                sorted(NEGATIVES),
                None,
                (),
                HOTTEST,
            )
        shown: list[UUID] = [row["post_id"] for row in itertools.islice(rows, LIMIT)]
        numbers = [0.5] * LIMIT
        await connection.execute(
            KEEP, uuid4(), user.id, MODEL, shown, list(range(LIMIT)), *[numbers] * 4, [None] * LIMIT
        )
