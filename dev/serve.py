"""An ASGI application on a port of this machine, for as long as a block runs."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.types import Send
from uvicorn.lifespan.off import LifespanOff


@asynccontextmanager
async def serve(app: Any, port: int = 0) -> AsyncIterator[str]:
    """Serve `app` on 127.0.0.1 (`port` 0: any free one) and yield its base URL.

    It runs in the caller's event loop: whoever holds the application's objects may use them.
    """
    # asyncio turns Nagle's delay, 40 ms a request, off only where a socket names its protocol
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    config = uvicorn.Config(
        app, log_level="warning", lifespan="off", ws="none", proxy_headers=False
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = LifespanOff(config)
    # not server.serve: it takes the process's signals, and polls before it ends
    await server.startup(sockets=[listener])
    await server.on_tick(0)  # the headers that every answer has
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.force_exit = True
        await server.shutdown(sockets=[listener])


async def cut(send: Send) -> None:
    """Cut the connection that `send`, which `serve` gave an application, would answer on."""
    # ASGI has no word for this; uvicorn's `send` is a method of what holds the connection.
    send.__self__.transport.abort()  # type: ignore[attr-defined]  # see above
    # The loss must be known before we return, or uvicorn answers 500 by itself.
    await asyncio.sleep(0)
