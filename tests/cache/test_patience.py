import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import numpy as np
import pytest

from dev.serve import serve
from dev.upstash import Request, Stage, Upstash
from dev.valkey import Valkey
from lib.cache import Cache
from lib.errors import Unavailable
from lib.settings import RedisSettings
from tests.fast_loop import FastLoop

TOKEN = "canary-7f3a"


async def put(cache: Cache) -> None:
    await cache.put({UUID(int=n): np.ones(384, dtype=np.float32) for n in range(500)})


async def drop(cache: Cache) -> None:
    await cache.drop([UUID(int=1)])


async def read(cache: Cache) -> None:
    await cache.read(UUID(int=1))


type Call = Callable[[Cache], Awaitable[None]]


@pytest.mark.parametrize("call", [put, drop, read])
def test_server_that_hangs_is_unavailable_after_ten_seconds(valkey_server: Valkey, call: Call):
    async def hang() -> None:
        upstash = Upstash(valkey_server.address, token=TOKEN)
        released = asyncio.Event()

        async def wait(_: Request, __: Stage) -> None:
            await released.wait()

        upstash.on_request = wait
        async with serve(upstash.app) as url:
            cache = Cache(RedisSettings(url, TOKEN))
            begun = asyncio.get_running_loop().time()
            with pytest.raises(Unavailable, match=r"^redis: TimeoutError"):
                await call(cache)
            assert 10 <= asyncio.get_running_loop().time() - begun < 30
            await cache.close()
            await upstash.close()

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(hang())
