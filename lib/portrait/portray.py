"""Gathers a portrait: five reads, each of them bounded."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lib.batch.why import Why, why
from lib.embedding.projection import project
from lib.errors import EmbeddingError, Missing
from lib.portrait.portrait import Dot, Map, Portrait, Star
from lib.recommend.feed import Wish, find_candidates, usable
from lib.recommend.ranking import rank
from lib.recommend.services import Readers
from lib.recommend.similar import find_similar_users
from lib.recommend.vectors import get_user_embedding
from lib.store.candidates import Candidates
from lib.store.database import Connection
from lib.store.headings import read_headings
from lib.store.posts import read_embeddings
from lib.store.tastes import Taste, read_taste

POSTS = 10
USERS = 8


async def portray(readers: Readers, user: UUID) -> Portrait:
    """Return a user's portrait; raise Missing for who has no vector, and Unavailable.

    What is recommended here is noted nowhere as shown, and none of it is left to chance.
    """
    reading = await get_user_embedding(readers, user)
    if reading.standing is None or reading.standing.vector is None:
        raise Missing(reading.standing.reason if reading.standing else "not enough yet")
    held = reading.standing.vector
    reasons, unexplained = await _why(readers, user)
    near = await find_similar_users(readers, user, USERS)
    wish = Wish(user, POSTS)
    model = readers.vectors.model_version
    async with readers.database.connection() as connection:
        taste = usable(await read_taste(connection, user), model)
        found = await find_candidates(connection, taste, wish, model)
        recommended = rank(
            taste,
            found,
            readers.blend,
            limit=POSTS,
            diversity=wish.diversity,
            explored=0,
            seed=user,
        )
        reasoned = [reason.contribution.post for reason in (reasons.reasons if reasons else ())]
        own = await _own(connection, reasoned, model)
        drawn = draw(taste, found, own, {one.post for one in recommended})
        named = {
            *(dot.post for dot in drawn.dots),
            *reasoned,
            *(interest.medoid for interest in held.interests),
            *(one.posts[0] for one in near.users if one.posts),
        }
        headings = await read_headings(connection, sorted(named))
    return Portrait(
        user=user,
        held=held,
        cache=reading.cache,
        why=reasons,
        unexplained=unexplained,
        behind=divide(taste, own, reasoned) if taste.split else (),
        recommended=recommended,
        neighbours=near.users,
        headings=headings,
        map=drawn,
    )


async def _why(readers: Readers, user: UUID) -> tuple[Why | None, str]:
    try:
        return await why(readers.database, readers.vectors, user), ""
    except EmbeddingError as error:
        return None, str(error)


@dataclass(frozen=True)
class Own:
    """The posts that made the vector, and theirs, (n, 384) float32."""

    posts: tuple[UUID, ...]
    vectors: NDArray[np.float32]


async def _own(connection: Connection, posts: Sequence[UUID], model: str) -> Own:
    ids = np.array(sorted(post.bytes for post in posts), dtype="V16")
    vectors, embedded = await read_embeddings(connection, ids, model)
    return Own(tuple(UUID(bytes=post.tobytes()) for post in ids[embedded]), vectors[embedded])


def divide(taste: Taste, own: Own, strongest: Sequence[UUID]) -> list[list[UUID]]:
    """Return the posts that are nearest to each interest, in the order of the `strongest`.

    Near as recommendations have it: by the product with what lessens it taken off.
    """
    products = own.vectors.astype(np.float64) @ taste.vectors.astype(np.float64).T - taste.centres
    nearest = dict(zip(own.posts, products.argmax(axis=1).tolist(), strict=True))
    return [
        [post for post in strongest if nearest.get(post) == place]
        for place in range(len(taste.vectors))
    ]


def draw(taste: Taste, found: Candidates, own: Own, recommended: Collection[UUID]) -> Map:
    """Return the map of what was looked at for the recommendations, and of the user's own posts."""
    others = [at for at, post in enumerate(found.posts) if post not in own.posts]
    posts = (*own.posts, *(found.posts[at] for at in others))
    vectors = np.concatenate([own.vectors, found.vectors[others]])
    plane = project(vectors, taste.vectors, taste.mean)
    return Map(
        tuple(
            Dot(post, float(x), float(y), at < len(own.posts), post in recommended)
            for at, (post, (x, y)) in enumerate(zip(posts, plane.posts, strict=True))
        ),
        tuple(
            Star(float(x), float(y), place if taste.split else None)
            for place, (x, y) in enumerate(plane.tastes)
        ),
        plane.spread,
    )
