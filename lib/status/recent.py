"""The last look, for whoever asks again within a few seconds."""

import asyncio
from dataclasses import dataclass, field

from lib.status.look import look
from lib.status.services import Services
from lib.status.status import Status

SECONDS = 5.0


@dataclass
class Recent:
    """Looks at most every SECONDS, however many ask; belongs to one event loop."""

    services: Services
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _status: Status | None = None
    _until: float = 0.0

    async def status(self) -> Status:
        """Return the last look while it is recent, or look; raise Unavailable."""
        async with self._turn:
            now = asyncio.get_running_loop().time()
            if self._status is None or now >= self._until:
                self._status = await look(self.services)
                self._until = now + SECONDS
            return self._status
