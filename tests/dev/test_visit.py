from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dev.demo.answers import Answer, Feed, Logged, Reason, Recommended, Similar, Why
from dev.demo.client import Client
from dev.demo.errand import Errand, choose
from dev.demo.failure import Failure
from dev.demo.outcome import Outcome
from dev.demo.traces import Remains, Shown
from dev.demo.visit import RESPONSE, Discovery, Moment, Taste, Visit
from dev.demo.visit_claims import check_visit
from dev.world import Action, Post, World
from lib.embedding import calculate_similarity
from tests.dev.test_judge import axis

# Posts of five topics, each with a direction of its own: six, and seven of the last. ANN acted on
# the first three of topic a, wrote OWN, and comes for five of topic e; OTHER is left of these.
ANN, BEN, CAT = (UUID(int=number) for number in (1, 2, 3))
NOW = datetime(2026, 5, 4, tzinfo=UTC)
TOPICS = "aaaaaabbbbbbccccccddddddeeeeeee"
OWN, OTHER = 29, 30
POSTS = tuple(
    Post(UUID(int=100 + number), "", topic, NOW, ANN if number == OWN else BEN)
    for number, topic in enumerate(TOPICS)
)
WORLD = World(
    (ANN, BEN, CAT),
    POSTS,
    np.stack([axis("abcde".index(topic), 10 + n) for n, topic in enumerate(TOPICS)]),
    tuple(Action(ANN, post.id, "like_post", NOW - timedelta(days=1)) for post in POSTS[:3]),
    {},
)
UNTOPICAL = replace(WORLD, posts=tuple(post._replace(topic=None) for post in POSTS))

type Vectors = Mapping[UUID, NDArray[np.float32]]


def feed(*numbers: int) -> Feed:
    posts = (Recommended(POSTS[number].id, 0.9, 0.4, 0.3, 0.2) for number in numbers)
    return Feed(UUID(int=9), tuple(posts))


def outcome(vectors: Vectors) -> Outcome:
    return Outcome(1, 1, NOW, 1.0, {"processed": 1}, vectors, {})


def use(vectors: Vectors) -> Taste:
    """Return what the routes should say of ANN's vector."""
    cosines = {user: calculate_similarity(vectors[ANN], vectors[user]) for user in (BEN, CAT)}
    similar = [
        Similar(user, cosines[user], 0, ())
        for user in sorted(cosines, key=lambda user: -cosines[user])
    ]
    why = Why(1.0, 9, (Reason(POSTS[0].id, 0.1, {"like_post": 1}),))
    return Taste(feed(4, OTHER), tuple(similar), similar[0].similarity, why)


VECTORS = {ANN: axis(0, 4), BEN: axis(1, 4), CAT: axis(0, 4, 5)}
SHOWN = (Shown(POSTS[3].id, (RESPONSE,)), Shown(POSTS[4].id, ()))
DISCOVERY = Discovery((Logged(5, 0), Logged(0, 5)), 5, feed(3, 4), Logged(1, 0), SHOWN)
TASTE = use(VECTORS)
THERE = Moment(Answer(200, ""), Remains(8, cached=True))
GONE = Moment(Answer(404, "not enough yet"), Remains(0, cached=False))
VISIT = Visit(
    Errand(ANN, axis(0), "e", POSTS[24:29]),
    DISCOVERY,
    outcome(VECTORS),
    TASTE,
    (THERE, GONE, GONE),
)


def broken(visit: Visit) -> list[str]:
    return [claim.text for claim in check_visit(WORLD, visit) if not claim.kept]


def turned(vector: NDArray[np.float32]) -> dict[str, Any]:
    """Let the run have made this vector, and the routes say so."""
    vectors = VECTORS | {ANN: vector}
    return {"run": outcome(vectors), "taste": use(vectors)}


def discovered(**change: Any) -> dict[str, Any]:
    return {"discovery": replace(DISCOVERY, **change)}


def used(**change: Any) -> dict[str, Any]:
    return {"taste": replace(TASTE, **change)}


def test_every_claim_holds_of_a_visit_as_it_should_be():
    claims = list(check_visit(WORLD, VISIT))
    assert [claim.text for claim in claims if not claim.kept] == []
    assert len(claims) == 8


def test_recommendations_need_not_follow_where_topics_are_unknown():
    visit = replace(VISIT, errand=replace(VISIT.errand, topic=None))
    claims = list(check_visit(UNTOPICAL, visit))
    assert [claim.text for claim in claims if not claim.kept] == []
    assert len(claims) == 7


ONCE, NEW, KEPT = "are stored once: ", "was acted on before: ", "with what came of it: "
TURNED, FOLLOW, NEAREST = "turns the vector to these posts: ", "follow: ", "the nearest of all 2"
WHY, GONE_TOO = "explain the vector make it up", "also after another run: "


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param(
            discovered(logged=(Logged(5, 0), Logged(5, 0)), grown=10),
            f"{ONCE}stored 5 and 5, and the log has 10 more",
            id="a repeat stored",
        ),
        pytest.param(discovered(grown=10), f"{ONCE}stored 5 and 0", id="a repeat stored in secret"),
        pytest.param(discovered(grown=0), f"{ONCE}stored 5 and 0", id="nothing in the log"),
        pytest.param(
            used(feed=feed(0, OTHER)), f"{NEW}1 are", id="recommended what was acted on long ago"
        ),
        pytest.param(
            used(feed=feed(24, OTHER)), f"{NEW}1 are", id="recommended what was just acted on"
        ),
        pytest.param(
            used(feed=feed(3, OTHER)), f"{NEW}1 are", id="recommended again what was acted on"
        ),
        pytest.param(
            used(feed=feed(OWN, OTHER)), f"{NEW}1 are", id="recommended what the user wrote"
        ),
        pytest.param(
            discovered(feed=feed(3, 0), shown=(SHOWN[0], Shown(POSTS[0].id, ()))),
            f"{NEW}1 are",
            id="recommended at first what was acted on",
        ),
        pytest.param(discovered(shown=()), f"{KEPT}of 2 posts 0 are", id="nothing kept"),
        pytest.param(
            discovered(shown=SHOWN[::-1]), f"{KEPT}of 2 posts 2 are", id="kept in another order"
        ),
        pytest.param(
            discovered(shown=(Shown(POSTS[3].id, ()), SHOWN[1])),
            f"{KEPT}of 2 posts 2 are, with 0 actions",
            id="no action kept with what was shown",
        ),
        pytest.param(discovered(response=Logged(0, 0)), KEPT, id="the action not logged"),
        pytest.param(turned(axis(0)), f"{TURNED}cosine 0.00, then 0.00", id="vector as it was"),
        pytest.param(
            used(feed=feed(4, 5)),
            f"{FOLLOW}cosine to them 0.00, then 0.00",
            id="recommended as before",
        ),
        pytest.param(used(similar=TASTE.similar[::-1]), NEAREST, id="the nearest last"),
        pytest.param(used(similar=TASTE.similar[:1]), NEAREST, id="one is missing"),
        pytest.param(
            used(similar=(TASTE.similar[0], TASTE.similar[0])), NEAREST, id="one comes twice"
        ),
        pytest.param(
            used(similar=(TASTE.similar[0], replace(TASTE.similar[1], user=UUID(int=7)))),
            NEAREST,
            id="one nobody knows",
        ),
        pytest.param(used(compared=0.5), NEAREST, id="another similarity of the two"),
        pytest.param(used(compared=None), NEAREST, id="no similarity of the two"),
        pytest.param(
            used(why=replace(TASTE.why, similarity=0.9)), f"{WHY}", id="reasons of another vector"
        ),
        pytest.param(
            used(why=replace(TASTE.why, reasons=(Reason(POSTS[9].id, 0.1, {}),))),
            "1 of 1 are not the user's",
            id="a reason of somebody else",
        ),
        pytest.param(used(why=replace(TASTE.why, reasons=())), WHY, id="no reasons"),
        pytest.param({"moments": (GONE,) * 3}, GONE_TOO, id="nothing to erase"),
        pytest.param(
            {"moments": (THERE, replace(GONE, answer=Answer(200, "")), GONE)},
            f"{GONE_TOO}200, 8 rows, key True; 200, 0 rows, key False",
            id="still answered",
        ),
        pytest.param(
            {"moments": (THERE, replace(GONE, remains=Remains(1, cached=False)), GONE)},
            "404, 1 rows, key False",
            id="a row left",
        ),
        pytest.param(
            {"moments": (THERE, replace(GONE, remains=Remains(0, cached=True)), GONE)},
            "404, 0 rows, key True",
            id="the key left",
        ),
        pytest.param({"moments": (THERE, GONE, THERE)}, GONE_TOO, id="back after a run"),
    ],
)
def test_a_claim_breaks_with_what_it_is_about(change: dict[str, Any], text: str):
    [found] = broken(replace(VISIT, **change))
    assert text in found


def test_a_user_comes_for_the_nearest_of_the_topics_that_are_new():
    errand = choose(WORLD, ANN, axis(0, 3))
    assert errand is not None
    assert (errand.user, errand.topic) == (ANN, "d")
    assert {post.topic for post in errand.posts} == {"d"}
    assert len(set(errand.posts)) == 5


def test_a_user_comes_for_no_post_that_is_known_or_has_no_embedding():
    vectors = WORLD.vectors.copy()
    vectors[[6, 12, 13, 18, 19]] = 0
    seen = tuple(Action(ANN, post.id, "view_post", NOW) for post in POSTS[6:8])
    world = replace(WORLD, vectors=vectors, actions=WORLD.actions + seen)
    errand = choose(world, ANN, axis(0, 2))
    assert errand is not None
    assert {post.id for post in errand.posts} < {post.id for post in (*POSTS[24:29], POSTS[OTHER])}


def test_where_posts_have_no_topics_a_user_comes_for_what_is_farthest_and_alike():
    vectors = WORLD.vectors.copy()
    vectors[12:18] = [-0.1 * axis(0) + axis(2, 10 + number) for number in range(6)]
    errand = choose(replace(UNTOPICAL, vectors=vectors), ANN, axis(0))
    assert errand is not None
    assert errand.topic is None
    assert {post.id for post in errand.posts} < {post.id for post in POSTS[12:18]}


def test_a_user_who_knows_nearly_every_post_comes_for_none():
    seen = tuple(Action(ANN, post.id, "view_post", NOW) for post in POSTS[:20])
    assert choose(replace(WORLD, actions=seen), ANN, axis(0)) is not None
    seen += (Action(ANN, POSTS[20].id, "view_post", NOW),)
    assert choose(replace(WORLD, actions=seen), ANN, axis(0)) is None


@pytest.mark.parametrize(
    ("transport", "text"),
    [
        pytest.param(
            httpx.ASGITransport(Starlette()),
            f"expected 200 of GET /api/users/{ANN}/similar.limit=3: 404 Not Found",
            id="another status",
        ),
        pytest.param(
            httpx.AsyncHTTPTransport(),
            f"expected an answer of GET /api/users/{ANN}/similar.limit=3: ConnectError",
            id="nobody there",
        ),
    ],
)
async def test_a_route_that_does_not_answer_ends_the_demo(
    transport: httpx.AsyncBaseTransport, text: str
):
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:1") as http:
        with pytest.raises(Failure, match=text):
            await Client(http, "api", "admin").similar(ANN, 3)


async def test_answers_that_say_nothing_end_the_demo():
    async def nothing(_: Request) -> Response:
        return JSONResponse({"why": None, "similarity": None, "reason": "different models"})

    app = Starlette(routes=[Route("/{path:path}", nothing)])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app.example") as http:
        client = Client(http, "api", "admin")
        with pytest.raises(Failure, match=r"expected reasons for the vector of .*, got none"):
            await client.why(ANN)
        with pytest.raises(Failure, match="to be comparable: different models"):
            await client.similarity(ANN, BEN)
