"""Remembering what users were shown by feeds that were built elsewhere."""

from collections.abc import Sequence
from uuid import UUID

from lib.errors import Invalid, Missing
from lib.experiment.sampling import sampled
from lib.store.database import Database
from lib.store.impressions import Impression, Showing, is_user, keep

MOST = 100


async def record_impressions(
    database: Database, rec_id: UUID, user: UUID, posts: Sequence[UUID], share: float
) -> None:
    """Remember that a user was shown these posts, in this order, if `rec_id` is of the share kept.

    Of 1 to 100 posts, each once. Repeating it does no harm; the first of a rec_id stays. Raises
    Invalid, Missing if there is no such user, and Unavailable.
    """
    if not 1 <= len(posts) <= MOST or len(set(posts)) < len(posts):
        raise Invalid("posts", f"a list of 1 to {MOST} ids, each once")
    impressions = tuple(Impression(post, position) for position, post in enumerate(posts))
    async with database.connection() as connection:
        if not await is_user(connection, user):
            raise Missing("no such user")
        if sampled(rec_id, share):
            await keep(connection, Showing(rec_id, user, None, impressions))
