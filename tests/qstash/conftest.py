"""One port for all tests here, and a fresh QStash stand-in behind it for each."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from starlette.types import Receive, Scope, Send

from dev.qstash import Broker, Message, Stage
from dev.serve import serve

TOKEN = "canary-token-0123456789"


@dataclass
class Stand:
    """A stand-in for QStash at `url`; with a `fault`, publishing raises it at `stage`."""

    url: str = ""
    fault: Exception | None = None
    stage: Stage = Stage.ARRIVED
    seen: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.broker = Broker(token=TOKEN)
        self.broker.on_publish = self._publishing

    async def _publishing(self, message: Message, stage: Stage) -> None:
        if stage is self.stage:
            self.seen.append(message)
            if self.fault:
                raise self.fault


@dataclass
class Port:
    """What is served: always the current stand."""

    stand: Stand = field(default_factory=Stand)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.stand.broker.app(scope, receive, send)


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def port() -> AsyncIterator[tuple[Port, str]]:
    app = Port()
    async with serve(app) as url:
        yield app, url


@pytest.fixture
def stand(port: tuple[Port, str]) -> Stand:
    app, url = port
    app.stand = Stand(url)
    return app.stand
