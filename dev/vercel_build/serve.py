"""The built functions on a port of this machine, each with nothing but its bundle."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from dev.functions import Functions
from dev.serve import serve
from dev.vercel_build.build import Build


@asynccontextmanager
async def serve_bundle(build: Build, environ: Mapping[str, str]) -> AsyncIterator[str]:
    """Serve the functions of `build`, which see `environ` alone, and yield the base URL.

    `environ` is read when a function starts: the URL may be put into it before the first request.
    What the functions said is added to an exception that passes through.
    """
    routes = tuple(bundle.route.removeprefix("/") for bundle in build.bundles)
    functions = Functions(build.functions, environ, bundles=routes)
    try:
        async with serve(functions.app) as url:
            yield url
    except Exception as failed:
        failed.add_note("\n".join(("the functions said:", *functions.logs)))
        raise
    finally:
        await functions.close()
