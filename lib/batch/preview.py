"""A bounded batch outside any run, for a developer to look at."""

from dataclasses import dataclass
from uuid import UUID

from lib.batch.mirror import mirror
from lib.batch.plan import find_users_for_embedding_update
from lib.batch.services import Services
from lib.batch.users import process_batch_user_embeddings
from lib.errors import Unavailable
from lib.settings import CacheMode
from lib.store.pages import Member
from lib.store.results import Outcome

USERS = 20


@dataclass(frozen=True)
class Preview:
    """What was done for one user, in numbers; `cached`: Redis holds what Postgres holds."""

    id: UUID
    outcome: Outcome
    posts: int
    actions: int
    weight: float
    model_version: str | None
    cached: bool


async def preview(services: Services) -> list[Preview]:
    """Make and store the vectors of the first USERS users who are due; leave runs alone."""
    users = await find_users_for_embedding_update(services, USERS)
    if not users:
        return []
    results = await process_batch_user_embeddings(
        services, [Member(user, remake=False) for user in users]
    )
    try:
        await mirror(services, users)
        mirrored = services.cache_mode is CacheMode.WRITE
    except Unavailable:
        mirrored = False
    return [
        Preview(
            result.user,
            result.outcome,
            result.posts,
            result.actions,
            result.weight,
            result.model_version,
            cached=mirrored and result.outcome is Outcome.PROCESSED,
        )
        for result in results
    ]
