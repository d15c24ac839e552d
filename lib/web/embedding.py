"""GET and DELETE /api/users/{id}/embedding: the vector that a user has, and its erasure."""

import time
from collections.abc import Sequence
from http import HTTPMethod
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lib.embedding.label import Label
from lib.errors import EmbeddingError, KeyRemains, Missing
from lib.privacy import erase_user
from lib.recommend.services import Readers
from lib.recommend.vectors import Reading, get_user_embedding
from lib.settings import Tokens
from lib.store.standings import Held
from lib.web.answer import answered, done, note, unavailable
from lib.web.bearer import Bearer
from lib.web.fields import id_in_path, only, switch

PATH = "/api/users/{id}/embedding"


def routes(readers: Readers, tokens: Tokens) -> Sequence[Route]:
    """Return the routes for whoever has the tokens."""
    api, admin = Bearer(tokens.api), Bearer(tokens.admin)

    async def get(request: Request) -> Response:
        api.enter(request)
        user = id_in_path(request, "id")
        only(request, {"why"})
        wanted = switch(request, "why", default=False)
        begun = time.monotonic()
        reading = await get_user_embedding(readers, user)
        note(
            "read",
            source=reading.source,
            cache=reading.cache,
            ms=round(1000 * (time.monotonic() - begun)),
        )
        if reading.embedding is None:
            raise Missing(reading.standing.reason if reading.standing else "not enough yet")
        body = _body(reading)
        if wanted:
            body["why"] = await _why(readers, user) if reading.standing else None
        return done(body)

    async def delete(request: Request) -> Response:
        admin.enter(request)
        user = id_in_path(request, "id")
        only(request, ())
        try:
            erasure = await erase_user(readers.database, readers.cache, user)
        except KeyRemains as error:
            note("key_remains", user=user, reason=str(error))
            return unavailable({"error": "unavailable", "postgres": "erased", "redis": "unknown"})
        note("erased", user=user)
        return done(
            {
                "user_id": user,
                "erased_at": erasure.erased_at,
                "ahead": erasure.ahead,
                "opted_out": erasure.opted_out,
            }
        )

    async def either(request: Request) -> Response:
        return await (delete if request.method == HTTPMethod.DELETE else get)(request)

    # one route for both: with two, another method would be told of the first alone
    return [Route(PATH, answered(either), methods=[HTTPMethod.GET, HTTPMethod.DELETE])]


def _body(reading: Reading) -> dict[str, Any]:
    held = reading.standing and reading.standing.vector
    return {
        "user_id": reading.user,
        "embedding": reading.embedding,
        "source": reading.source,
        **(_made(held) if held else dict.fromkeys(MADE)),
    }


MADE = ("model_version", "model", "scheme", "mean", "generated_at", "updated_at", "interests")
"""What only Postgres says of a vector."""


def _made(held: Held) -> dict[str, Any]:
    label = Label.parse(held.model_version)
    interests = [
        {"place": one.place, "share": one.share, "medoid": one.medoid} for one in held.interests
    ]
    values = (held.model_version, label.model, label.scheme, label.mean)
    return dict(zip(MADE, (*values, held.generated_at, held.updated_at, interests), strict=True))


async def _why(readers: Readers, user: UUID) -> dict[str, Any] | None:
    """Return what did most for the vector; None where that cannot be told any more."""
    from lib.batch.why import why  # noqa: PLC0415  # few ask, and all of the batch comes with it

    try:
        found = await why(readers.database, readers.vectors, user)
    except EmbeddingError as error:
        note("unexplained", user=user, reason=str(error))
        return None
    if found is None:
        return None
    return {
        "similarity": found.similarity,
        "changed": found.changed,
        "posts": found.posts,
        "contributions": [
            {
                "post": reason.contribution.post,
                "share": reason.contribution.share,
                "weight": reason.contribution.weight,
                "age_days": reason.contribution.age_days,
                "actions": reason.actions,
            }
            for reason in found.reasons
        ],
    }
