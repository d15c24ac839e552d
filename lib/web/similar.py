"""GET /api/users/{id}/similar and /similarity/{other}: who is near, and how near two users are."""

import time
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lib.embedding.label import Label
from lib.recommend.services import Readers
from lib.recommend.similar import compare_users, find_similar_users
from lib.settings import Tokens
from lib.web.answer import answered, done, note
from lib.web.bearer import Bearer
from lib.web.fields import id_in_path, only, whole

SIMILAR = "/api/users/{id}/similar"
SIMILARITY = "/api/users/{id}/similarity/{other}"
MOST = 100


def routes(readers: Readers, tokens: Tokens) -> Sequence[Route]:
    """Return the routes for whoever has the tokens."""
    door = Bearer(tokens.api)

    async def similar(request: Request) -> Response:
        door.enter(request)
        user = id_in_path(request, "id")
        only(request, {"limit"})
        limit = whole(request, "limit", 1, MOST, 10)
        begun = time.monotonic()
        found = await find_similar_users(readers, user, limit)
        note("similar", users=len(found.users), ms=round(1000 * (time.monotonic() - begun)))
        label = Label.parse(found.model_version)
        return done(
            {
                "user_id": found.user,
                "model_version": found.model_version,
                "model": label.model,
                "scheme": label.scheme,
                "mean": label.mean,
                "users": [
                    {
                        "user_id": one.user,
                        "similarity": one.similarity,
                        "shared": {"count": one.shared, "posts": one.posts},
                    }
                    for one in found.users
                ],
            }
        )

    async def similarity(request: Request) -> Response:
        door.enter(request)
        user, other = id_in_path(request, "id"), id_in_path(request, "other")
        only(request, ())
        found = await compare_users(readers, user, other)
        return done(
            {
                "user_id": user,
                "other_id": other,
                "similarity": found.similarity,
                "comparable": found.reason is None,
                "reason": found.reason,
            }
        )

    return [
        Route(SIMILAR, answered(similar), methods=["GET"]),
        Route(SIMILARITY, answered(similarity), methods=["GET"]),
    ]
