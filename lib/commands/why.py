"""Which posts a user's vector comes from."""

import asyncio
import sys
from collections.abc import Iterator
from uuid import UUID

from lib.batch.why import Why
from lib.batch.why import why as find_out
from lib.errors import EmbeddingError
from lib.settings import DatabaseSettings, Environ, VectorSettings
from lib.store.database import Database

DONE = 0
NO_VECTOR = 1
FAILED = 2


def why(environ: Environ, user: str) -> int:
    """Print the posts that did most for the user's vector.

    Raises SettingError and Unavailable.
    """
    try:
        id_ = UUID(user)
    except ValueError:
        print(f"expected a user's id, a UUID, got {user!r}", file=sys.stderr)
        return FAILED
    settings = VectorSettings.load(environ)
    try:
        found = asyncio.run(_find(Database(DatabaseSettings.load(environ)), settings, id_))
    except EmbeddingError as error:
        print(error, file=sys.stderr)
        return FAILED
    if found is None:
        print(f"{id_} has no vector")
        return NO_VECTOR
    print("\n".join(_lines(found)))
    return DONE


async def _find(database: Database, settings: VectorSettings, user: UUID) -> Why | None:
    try:
        return await find_out(database, settings, user)
    finally:
        await database.close()


def _lines(found: Why) -> Iterator[str]:
    yield f"{found.model_version}, made at {found.generated_at:%Y-%m-%d %H:%M:%S} UTC"
    if found.changed:
        yield (
            "what is stored is not what the same time comes to today: the log, the posts or the"
            f" settings have changed since (similarity {found.similarity:.3f})"
        )
    yield ""
    yield f"{'post':36}   share   weight  days ago  actions"
    for reason in found.reasons:
        one = reason.contribution
        actions = ", ".join(f"{count} {kind}" for kind, count in reason.actions.items())
        yield f"{one.post} {one.share:7.1%} {one.weight:8.3f} {one.age_days:9.1f}  {actions}"
    others = found.posts - len(found.reasons)
    if others:
        rest = 1 - sum(reason.contribution.share for reason in found.reasons)
        yield f"{f'{others} more':36} {rest:7.1%}"
