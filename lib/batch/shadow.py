"""What another scheme would make of the same users, beside their live vectors."""

from collections.abc import Sequence

from lib.batch.phases import Phase, phase
from lib.batch.reading import read
from lib.batch.services import Services
from lib.embedding import Scheme
from lib.errors import EmbeddingError
from lib.store import shadows, vectors
from lib.store.database import DATA_ERRORS
from lib.store.pages import Member
from lib.store.vectors import NewVectors


async def cast_shadow(services: Services, scheme: Scheme, members: Sequence[Member]) -> None:
    """Make and store the users' shadow vectors, with their cosines to the live ones.

    Whose data is wrong gets none, and keeps nobody's live vector waiting. Raises Unavailable.
    """
    try:
        whole = await _cast(services, scheme, members)
    except (*DATA_ERRORS, EmbeddingError):
        whole = False
    if not whole and len(members) > 1:
        middle = len(members) // 2
        await cast_shadow(services, scheme, members[:middle])
        await cast_shadow(services, scheme, members[middle:])


async def _cast(services: Services, scheme: Scheme, members: Sequence[Member]) -> bool:
    """Return whether there was room for all of them."""
    with phase(Phase.READ):
        reading = await read(services, scheme, members)
    if reading is None:
        return False
    new = reading.new_vectors()
    with phase(Phase.WRITE):
        await _store(services, new)
    return True


async def _store(services: Services, new: NewVectors) -> None:
    async with services.database.connection() as connection:
        held = await vectors.read_stored(connection, new.users)
        live = {one.user: one.embedding for one in held}
        similarities = [
            float(vector @ live[user]) if user in live else None
            for user, vector in zip(new.users, new.vectors, strict=True)
        ]
        await shadows.upsert_shadows(connection, new, similarities)
