"""GET /api/users/{id}/recommendations: what a user might like to read next."""

import time
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lib.recommend.feed import Recommendations, Wish, recommend_posts
from lib.recommend.services import Readers
from lib.settings import Tokens
from lib.web import fields
from lib.web.answer import answered, done, note
from lib.web.bearer import Bearer

PATH = "/api/users/{id}/recommendations"
FIELDS = ("limit", "exclude_seen", "since", "topics", "diversity")
MOST, USUAL = 100, 20
MOST_TOPICS = 20
DIVERSITY = 0.3


def routes(readers: Readers, tokens: Tokens) -> Sequence[Route]:
    """Return the route, for whoever has the tokens."""
    bearer = Bearer(tokens.api)

    async def get(request: Request) -> Response:
        bearer.enter(request)
        wish = _wish(request)
        begun = time.monotonic()
        made = await recommend_posts(readers, wish)
        note(
            "recommended",
            rec_id=made.rec_id,
            user=made.user,
            personal=made.personal,
            posts=len(made.posts),
            ms=round(1000 * (time.monotonic() - begun)),
        )
        return done(_body(made))

    return [Route(PATH, answered(get), methods=["GET"])]


def _wish(request: Request) -> Wish:
    fields.only(request, FIELDS)
    return Wish(
        fields.id_in_path(request, "id"),
        fields.whole(request, "limit", 1, MOST, USUAL),
        fields.switch(request, "exclude_seen", default=True),
        fields.moment(request, "since"),
        fields.words(request, "topics", MOST_TOPICS),
        fields.fraction(request, "diversity", DIVERSITY),
    )


def _body(made: Recommendations) -> dict[str, Any]:
    return {
        "rec_id": made.rec_id,
        "user_id": made.user,
        "personal": made.personal,
        "model_version": made.model_version,
        "posts": [
            {
                "post_id": post.post,
                "position": post.position,
                "score": post.score,
                "similarity": post.similarity,
                "freshness": post.freshness,
                "popularity": post.popularity,
                "interest": post.interest,
                "explored": post.propensity is not None,
            }
            for post in made.posts
        ],
    }
