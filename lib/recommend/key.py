"""One user's key in Redis, asked with little patience: its trouble is counted, never raised."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lib.cache import Cache, Cached, encode
from lib.errors import Unavailable


@dataclass
class Key:
    """A user's key. `trouble`: whether Redis failed, or held nonsense.

    `patience`: seconds that all waiting for Redis may take together; and as much once more for
    deleting what must not stay.
    """

    cache: Cache
    user: UUID
    patience: float
    trouble: bool = False
    left: float = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.patience

    async def look(self) -> Cached | None:
        """Return what the key holds, if anything."""
        found = None
        with self._counted():
            found = await self.cache.look(self.user, self.left)
        if found is not None and found.vector is None:
            self.trouble = True
        return found

    async def fill(self, vector: NDArray[np.float32]) -> bool | None:
        """Write the vector, (384,) float32, if there is no key, for a minute.

        Returns whether it was written, None where that is not known.
        """
        with self._counted():
            return await self.cache.fill(self.user, vector, self.left)
        return None

    async def keep(self, vector: NDArray[np.float32]) -> None:
        """Let a key that holds the vector hold it for seven days."""
        with self._counted():
            await self.cache.keep(self.user, encode(vector), self.left)

    async def withdraw(self, text: str) -> None:
        """Delete the key if it holds this text; no patience is left where that fails."""
        left, self.left = self.left, 0.0
        with self._counted():
            await self.cache.withdraw(self.user, text, self.patience)
            self.left = left

    @contextmanager
    def _counted(self) -> Iterator[None]:
        clock = asyncio.get_running_loop().time
        begun = clock()
        try:
            yield
        except Unavailable:
            self.trouble = True
        finally:
            self.left -= clock() - begun
