"""What a platform reports, so that the next run takes the users concerned, active or not.

Each call belongs into the transaction that does what it reports: a note that is committed earlier
may be taken by a run which still reads what was there before.
"""

from collections.abc import Sequence
from uuid import UUID

from lib.store.database import Connection

DELETED_POSTS = """
SELECT embedding.report_deleted_posts($1::UUID[])
"""


async def report_deleted_posts(connection: Connection, posts: Sequence[UUID]) -> int:
    """Have the vectors of all who acted on the posts made anew; return how many users those are.

    The log must still say who they are: where it goes with the posts, report before deleting.
    """
    users: int = await connection.fetchval(DELETED_POSTS, posts)
    return users


DELETED_ACTIONS = """
SELECT embedding.report_deleted_actions($1::UUID[])
"""


async def report_deleted_actions(connection: Connection, users: Sequence[UUID]) -> int:
    """Have the vectors of users whose actions were deleted or changed made anew from the rest."""
    reported: int = await connection.fetchval(DELETED_ACTIONS, users)
    return reported


LATE_ACTIONS = """
SELECT embedding.report_late_actions($1::UUID[])
"""


async def report_late_actions(connection: Connection, users: Sequence[UUID]) -> int:
    """Have users looked at again whose actions were logged with a time long past."""
    reported: int = await connection.fetchval(LATE_ACTIONS, users)
    return reported
