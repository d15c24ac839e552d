"""What a user might like to read next."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID, uuid4

import numpy as np

from lib.embedding.label import Label
from lib.errors import Missing
from lib.experiment.sampling import sampled
from lib.recommend.ranking import Recommended, rank
from lib.recommend.services import Readers
from lib.store.candidates import Candidates, Wanted, read_candidates, settle
from lib.store.database import Connection
from lib.store.impressions import Impression, Showing, keep
from lib.store.tastes import NO_VECTORS, Taste, read_taste

SPARE = 50
"""So many more candidates of each kind than are asked for, to choose from."""


@dataclass(frozen=True)
class Wish:
    """What is asked for.

    `limit`: how many posts. `unseen`: none that the user ever acted on; what the user made,
    disliked or hid never comes. `since`: none made before; `topics`: of one of these, () of any.
    `diversity`: from 0, the plain order, to 1.
    """

    user: UUID
    limit: int = 20
    unseen: bool = True
    since: datetime | None = None
    topics: tuple[str, ...] = ()
    diversity: float = 0.3


@dataclass(frozen=True)
class Recommendations:
    """An answer, and its name.

    `personal`: whether it was made with a vector of the user's; `model_version`: that vector's,
    None without one.
    """

    rec_id: UUID
    user: UUID
    personal: bool
    model_version: str | None
    posts: Sequence[Recommended]


async def recommend_posts(readers: Readers, wish: Wish) -> Recommendations:
    """Return posts for a user, and remember what was shown.

    As many as asked for, where there are so many. Without a vector of the model in use, what is
    popular and new. Raises Missing where there is no such user, Unavailable.
    """
    rec_id = uuid4()
    model = readers.vectors.model_version
    async with readers.database.connection() as connection:
        taste = usable(await read_taste(connection, wish.user), model)
        if not taste.exists:
            raise Missing("no such user")
        found = await find_candidates(connection, taste, wish, model)
        posts = rank(
            taste,
            found,
            readers.blend,
            limit=wish.limit,
            diversity=wish.diversity,
            explored=readers.exploration.share,
            seed=rec_id,
        )
        made = Recommendations(
            rec_id, wish.user, taste.model_version is not None, taste.model_version, posts
        )
        if posts and sampled(rec_id, readers.impressions.share):
            await keep(connection, _showing(made))
    return made


def usable(taste: Taste, model: str) -> Taste:
    """Return the taste, as none at all where its vector is not of the model."""
    if taste.model_version is None or Label.parse(taste.model_version).model == model:
        return taste
    return replace(
        taste, model_version=None, vectors=NO_VECTORS, centres=np.empty(0), split=False, mean=None
    )


async def find_candidates(
    connection: Connection, taste: Taste, wish: Wish, model: str
) -> Candidates:
    """Return posts that a user may be shown, SPARE more of each kind than are asked for."""
    number = wish.limit + SPARE
    wanted = Wanted(wish.user, model, number, wish.unseen, wish.since, wish.topics)
    async with connection.transaction():
        await settle(connection, taste.posts)
        found = await read_candidates(connection, wanted, taste.vectors, exactly=False)
        if found.nearest < number * len(taste.vectors):
            # either there are no more, or the index gave up
            found = await read_candidates(connection, wanted, taste.vectors, exactly=True)
    return found


def _showing(made: Recommendations) -> Showing:
    return Showing(
        made.rec_id,
        made.user,
        made.model_version,
        tuple(
            Impression(
                post.post,
                post.position,
                post.score,
                post.similarity,
                post.freshness,
                post.popularity,
                post.propensity,
            )
            for post in made.posts
        ),
    )
