"""One user finds something new, and is forgotten in the end: all of it over HTTP."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

from dev.demo.answers import Answer, Feed, Logged, Similar, Why
from dev.demo.client import Client, connected
from dev.demo.errand import Errand
from dev.demo.failure import Failure
from dev.demo.outcome import Outcome
from dev.demo.platform import Platform
from dev.demo.tick import fire
from dev.demo.traces import Remains, Shown, count_logged, read_remains, read_shown
from dev.world import Post

RECOMMENDED = 20
SIMILAR = 3
ACTION = "share_post"
RESPONSE = "bookmark_post"


@dataclass(frozen=True)
class Discovery:
    """The same actions `logged` twice, and by how many rows the log grew.

    `feed` is what was recommended then, `response` what came of acting on the first of it, and
    `shown` what was kept of both.
    """

    logged: tuple[Logged, Logged]
    grown: int
    feed: Feed
    response: Logged
    shown: tuple[Shown, ...]


@dataclass(frozen=True)
class Taste:
    """What the vector is good for: `compared` is the similarity to the first of `similar`."""

    feed: Feed
    similar: tuple[Similar, ...]
    compared: float | None
    why: Why


@dataclass(frozen=True)
class Moment:
    """How a user stands: what asking for the vector gives, and what there really is."""

    answer: Answer
    remains: Remains


@dataclass(frozen=True, eq=False)
class Visit:
    """What a user did and got: before the next `run`, after it, and once erased.

    `moments` are those before the erasure, after it, and after another run.
    """

    errand: Errand
    discovery: Discovery
    run: Outcome
    taste: Taste
    moments: tuple[Moment, Moment, Moment]


async def visit(platform: Platform, errand: Errand, seconds: float) -> Visit:
    """Do it all; Failure if a route does not answer, or a run takes longer than `seconds`."""
    user = errand.user
    async with connected(platform.stack) as client:
        discovery = await _discover(platform, client, errand)
        run = await fire(platform, lambda _: None, seconds)
        if user not in run.vectors:
            raise Failure(f"expected a vector of {user} after the run, got none")
        taste = await _use(client, user)
        known = await _look(platform, client, user)
        await client.erase(user)
        erased = await _look(platform, client, user)
        await fire(platform, lambda _: None, seconds)
        later = await _look(platform, client, user)
    return Visit(errand, discovery, run, taste, (known, erased, later))


async def _discover(platform: Platform, client: Client, errand: Errand) -> Discovery:
    user = errand.user
    before = await count_logged(platform.connection, user)
    actions = tuple(_actions(user, errand.posts))
    logged = await client.log(actions), await client.log(actions)
    grown = await count_logged(platform.connection, user) - before
    feed = await client.recommendations(user, RECOMMENDED)
    if not feed.posts:
        raise Failure(f"expected recommendations for {user}, got none")
    response = await client.log(
        [
            {
                "user_id": str(user),
                "post_id": str(feed.posts[0].post),
                "action_type": RESPONSE,
                "rec_id": str(feed.rec_id),
            }
        ]
    )
    shown = await read_shown(platform.connection, user, feed.rec_id)
    return Discovery(logged, grown, feed, response, shown)


def _actions(user: UUID, posts: Iterable[Post]) -> Iterable[Mapping[str, str]]:
    for post in posts:
        yield {
            "user_id": str(user),
            "post_id": str(post.id),
            "action_type": ACTION,
            "event_id": str(uuid4()),
        }


async def _use(client: Client, user: UUID) -> Taste:
    feed = await client.recommendations(user, RECOMMENDED)
    similar = await client.similar(user, SIMILAR)
    compared = await client.similarity(user, similar[0].user) if similar else None
    return Taste(feed, similar, compared, await client.why(user))


async def _look(platform: Platform, client: Client, user: UUID) -> Moment:
    remains = await read_remains(platform, user)  # before asking, which could tidy up
    return Moment(await client.embedding(user), remains)
