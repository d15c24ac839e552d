"""One user as the system sees them, beside what routes and tables say of the same user."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import numpy as np
import pytest
from asyncpg import Connection
from hypothesis import given
from hypothesis import strategies as st

from lib.embedding import DIMENSIONS
from lib.errors import Missing
from lib.page.user_page import user_page
from lib.portrait.portrait import Portrait
from lib.portrait.portray import Own, draw, portray
from lib.privacy import opt_out_user
from lib.recommend.services import Readers
from lib.store.candidates import NONE
from lib.store.tastes import Taste
from tests.conftest import Start, trigger
from tests.scene import build
from tests.test_schemes import add_reader

ON_PLATFORMS = ["tables", "views"]

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def readers(start: Start, connection: Connection) -> AsyncIterator[Readers]:
    stack = await start()
    await build(connection)
    await trigger(stack)
    await stack.broker.drain()
    made = Readers.load(stack.environ)
    yield made
    await made.close()


async def busiest(connection: Connection) -> UUID:
    """Return the user with a vector who did most."""
    return await connection.fetchval(
        "SELECT user_id FROM user_embeddings JOIN action_log USING (user_id)"
        " GROUP BY user_id ORDER BY count(*) DESC, user_id LIMIT 1"
    )


def shape(portrait: Portrait) -> tuple[object, ...]:
    """Return what does not change with the time of day."""
    posts = [post.post for post in portrait.recommended]
    return (posts, portrait.neighbours, portrait.map, portrait.headings)


async def test_portrait_is_of_the_user_and_leaves_no_trace(
    readers: Readers, connection: Connection
):
    user = await busiest(connection)
    found = await portray(readers, user)
    stored = await connection.fetchval(
        "SELECT embedding FROM user_embeddings WHERE user_id = $1", user
    )
    np.testing.assert_array_equal(found.held.embedding, stored.to_numpy())
    acted = {
        row["post_id"]
        for row in await connection.fetch("SELECT post_id FROM action_log WHERE user_id = $1", user)
    }
    assert found.why is not None
    assert {reason.contribution.post for reason in found.why.reasons} <= acted
    assert {post.post for post in found.recommended}.isdisjoint(acted)
    assert {dot.post for dot in found.map.dots if dot.own} == {
        reason.contribution.post for reason in found.why.reasons
    }
    assert {dot.post for dot in found.map.dots if dot.recommended} == {
        post.post for post in found.recommended
    }
    assert {dot.post for dot in found.map.dots} <= found.headings.keys()
    assert all(len(one.posts) == 0 or one.posts[0] in found.headings for one in found.neighbours)
    assert shape(await portray(readers, user)) == shape(found)
    assert await connection.fetchval("SELECT count(*) FROM embedding.impressions") == 0


async def test_each_interest_has_its_own_posts(start: Start, connection: Connection):
    stack = await start({"EMBEDDING_SCHEME": "recommended"})
    await build(connection)
    reader = await add_reader(connection)
    await trigger(stack)
    await stack.broker.drain()
    readers = Readers.load(stack.environ)
    found = await portray(readers, reader)
    await readers.close()
    # the reader did one kind of thing to all posts of a topic
    kinds = {
        row["post_id"]: row["action_type"]
        for row in await connection.fetch(
            "SELECT post_id, action_type FROM action_log WHERE user_id = $1", reader
        )
    }
    assert found.why is not None
    told = [reason.contribution.post for reason in found.why.reasons]
    assert len(found.behind) == len(found.held.interests) > 1
    assert sorted(post for posts in found.behind for post in posts) == sorted(told)
    for interest, posts in zip(found.held.interests, found.behind, strict=True):
        assert {kinds[post] for post in posts} <= {kinds[interest.medoid]}
        assert posts == sorted(posts, key=told.index)
    assert [star.interest for star in found.map.stars] == [*range(len(found.behind))]
    page = user_page(found, datetime.now(UTC), {}).text
    assert page.count("untitled") >= len(told)


async def test_post_that_is_gone_is_named_nowhere(readers: Readers, connection: Connection):
    user = await busiest(connection)
    found = await portray(readers, user)
    assert found.why is not None
    gone = found.why.reasons[0].contribution.post
    for table in ("post_embeddings WHERE post_id", "posts WHERE id"):
        await connection.execute(f"DELETE FROM {table} = $1", gone)  # noqa: S608  # two words
    later = await portray(readers, user)
    assert gone not in later.headings
    assert gone not in {dot.post for dot in later.map.dots}


@pytest.mark.parametrize("case", ["nobody", "opted out", "too little"])
async def test_who_has_no_vector_has_no_portrait(
    readers: Readers, connection: Connection, case: str
):
    user = uuid4()
    if case != "nobody":
        await connection.execute("INSERT INTO users VALUES ($1)", user)
    if case == "opted out":
        user = await busiest(connection)
        await opt_out_user(readers.database, readers.cache, user)
    reason = {"nobody": "no such user", "too little": "not enough yet"}.get(case, case)
    with pytest.raises(Missing, match=reason):
        await portray(readers, user)


@given(posts=st.integers(0, 12), own=st.integers(0, 6), interests=st.integers(0, 3))
def test_map_has_each_post_once_and_a_star_for_each_interest(posts: int, own: int, interests: int):
    rng = np.random.default_rng(1)
    ids = tuple(UUID(int=100 + at) for at in range(posts))
    vectors = rng.normal(size=(posts, DIMENSIONS)).astype(np.float32)
    found = replace(NONE, posts=ids, vectors=vectors)
    # up to two are among those looked at
    mine = tuple(UUID(int=98 + posts + at) for at in range(own))
    owned = Own(mine, rng.normal(size=(own, DIMENSIONS)).astype(np.float32))
    split = interests > 0
    tastes = rng.normal(size=(max(interests, 1), DIMENSIONS)).astype(np.float32)
    taste = Taste(True, 9, "m", tastes, np.zeros(len(tastes)), split=split, mean=None)  # noqa: FBT003
    drawn = draw(taste, found, owned, ids[:2])
    assert sorted(dot.post for dot in drawn.dots) == sorted({*ids, *mine})
    assert {dot.post for dot in drawn.dots if dot.own} == set(mine)
    assert {dot.post for dot in drawn.dots if dot.recommended} <= set(ids[:2])
    assert [star.interest for star in drawn.stars] == ([*range(interests)] if split else [None])
