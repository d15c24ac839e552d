"""One port a module for a stand-in, a fresh broker and destination on it for each test."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.dev.qstash.stack import Port, Publish, Sdk, Stack, async_sdk, open_port, publisher


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port() -> AsyncIterator[Port]:
    async with open_port() as opened:
        yield opened


@pytest.fixture
def here(port: Port) -> Stack:
    return port.fresh()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sdk(port: Port) -> AsyncIterator[Sdk]:
    async with async_sdk(port.url) as client:
        yield client


@pytest.fixture
def publish(here: Stack, sdk: Sdk) -> Publish:
    return publisher(here, sdk)
