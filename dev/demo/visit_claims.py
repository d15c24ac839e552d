"""What the routes promise, held against what a visit got from them."""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from dev.demo.answers import Logged
from dev.demo.claims import Claim
from dev.demo.errand import known_to
from dev.demo.traces import Shown
from dev.demo.visit import RESPONSE, SIMILAR, Visit
from dev.world import World
from lib.batch.why import CHANGED
from lib.embedding import calculate_similarity

EXACT = 1e-5


def check_visit(world: World, visit: Visit) -> Iterator[Claim]:
    """Yield every claim; that recommendations follow only where topics are known."""
    yield _stored_once(visit)
    yield _new(world, visit)
    yield _remembered(visit)
    yield _turned(world, visit)
    if visit.errand.topic:
        yield _followed(world, visit)
    yield _nearest(visit)
    yield _explained(world, visit)
    yield _forgotten(visit)


def _claim(text: str, *, kept: bool, wrong: str) -> Claim:
    return Claim(kept, text if kept else f"{text}: {wrong}")


def _stored_once(visit: Visit) -> Claim:
    once, again = visit.discovery.logged
    count, grown = len(visit.errand.posts), visit.discovery.grown
    return _claim(
        f"{count} actions logged twice are stored once",
        kept=(once, again, grown) == (Logged(count, 0), Logged(0, count), count),
        wrong=f"stored {once.stored} and {again.stored}, and the log has {grown} more",
    )


def _new(world: World, visit: Visit) -> Claim:
    known = known_to(world, visit.errand.user) | {post.id for post in visit.errand.posts}
    first, second = visit.discovery.feed, visit.taste.feed
    old = sum(post.post in known for post in first.posts)
    known.add(first.posts[0].post)
    old += sum(post.post in known for post in second.posts)
    return _claim(
        "no recommended post is by the user, or was acted on before",
        kept=not old,
        wrong=f"{old} are",
    )


def _remembered(visit: Visit) -> Claim:
    first, *others = (post.post for post in visit.discovery.feed.posts)
    expected = Shown(first, (RESPONSE,)), *(Shown(post, ()) for post in others)
    shown = visit.discovery.shown
    acted = sum(len(post.actions) for post in shown)
    return _claim(
        "what was shown is kept, with what came of it",
        kept=shown == expected and visit.discovery.response == Logged(1, 0),
        wrong=f"of {len(expected)} posts {len(shown)} are, with {acted} actions",
    )


def _turned(world: World, visit: Visit) -> Claim:
    errand, after = visit.errand, visit.run.vectors[visit.errand.user]
    posts = _vectors(world, (post.id for post in errand.posts))
    was, now = float((posts @ errand.vector).mean()), float((posts @ after).mean())
    text = f"the next run turns the vector to these posts: cosine {was:.2f}, then {now:.2f}"
    return Claim(now > was, text)


def _followed(world: World, visit: Visit) -> Claim:
    posts = _vectors(world, (post.id for post in visit.errand.posts))
    was, now = (
        float((posts @ _vectors(world, (one.post for one in feed.posts)).T).mean())
        for feed in (visit.discovery.feed, visit.taste.feed)
    )
    return Claim(now > was, f"recommendations follow: cosine to them {was:.2f}, then {now:.2f}")


def _vectors(world: World, posts: Iterable[UUID]) -> NDArray[np.float32]:
    wanted = set(posts)
    return world.vectors[[post.id in wanted for post in world.posts]]


def _nearest(visit: Visit) -> Claim:
    after = visit.run.vectors[visit.errand.user]
    true = {
        user: calculate_similarity(after, vector)
        for user, vector in visit.run.vectors.items()
        if user != visit.errand.user
    }
    found = visit.taste.similar
    said = np.array([one.similarity for one in found])
    best = np.array(sorted(true.values(), reverse=True)[: len(found)])
    own = np.array([true.get(one.user, np.nan) for one in found])
    compared = visit.taste.compared
    agreed = not found or (compared is not None and abs(compared - said[0]) <= EXACT)
    return _claim(
        f"similar users are the nearest of all {len(true):,}, by cosine",
        kept=agreed
        and len(found) == min(SIMILAR, len(true))
        and np.allclose(said, best, atol=EXACT)
        and np.allclose(said, own, atol=EXACT),
        wrong=f"{said} where {best} are, compared {compared}",
    )


def _explained(world: World, visit: Visit) -> Claim:
    acted_on = known_to(world, visit.errand.user) | {post.id for post in visit.errand.posts}
    acted_on.add(visit.discovery.feed.posts[0].post)
    why = visit.taste.why
    foreign = sum(reason.post not in acted_on for reason in why.reasons)
    return _claim(
        "the posts that explain the vector make it up, and the user acted on each",
        kept=why.similarity >= CHANGED and bool(why.reasons) and not foreign,
        wrong=f"cosine {why.similarity:.3f}, {foreign} of {len(why.reasons)} are not the user's",
    )


def _forgotten(visit: Visit) -> Claim:
    found = [
        (moment.answer.status, moment.remains.rows, moment.remains.cached)
        for moment in visit.moments
    ]
    (status, rows, cached), *later = found
    gone = (HTTPStatus.NOT_FOUND, 0, False)
    return _claim(
        "the erased user is gone from Postgres and Redis, also after another run",
        kept=status == HTTPStatus.OK and rows > 0 and cached and later == [gone, gone],
        wrong="; ".join(f"{status}, {rows} rows, key {cached}" for status, rows, cached in found),
    )
