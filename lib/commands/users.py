"""Erasing what was made of a user, their objection to it, and what is held about them."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from uuid import UUID

import orjson

from lib.cache import Cache
from lib.privacy import erase_user, export_user, opt_in_user, opt_out_user
from lib.settings import CacheSettings, DatabaseSettings, Environ
from lib.store.database import Database

DONE = 0
FAILED = 2

type Asked = Callable[[Database, Cache | None, UUID], Awaitable[str]]
"""What is done about a user; returns what is said of it."""


def erase(environ: Environ, user: str) -> int:
    """Remove all that was made of a user; what was done up to now never counts again."""
    return _call(environ, user, _erase)


def opt_out(environ: Environ, user: str) -> int:
    """Erase a user, and make no vector of them until they opt in."""
    return _call(environ, user, _opt_out)


def opt_in(environ: Environ, user: str) -> int:
    """Make vectors of a user again who had opted out, of what is done from now on."""
    return _call(environ, user, _opt_in)


def export(environ: Environ, user: str) -> int:
    """Print all that is held about a user, as JSON."""
    return _call(environ, user, _export)


async def _erase(database: Database, cache: Cache | None, user: UUID) -> str:
    erasure = await erase_user(database, cache, user)
    return f"erased {user}: nothing until {erasure.erased_at:%Y-%m-%d %H:%M:%S} UTC counts any more"


async def _opt_out(database: Database, cache: Cache | None, user: UUID) -> str:
    await opt_out_user(database, cache, user)
    return f"erased {user}, and no vector is made until they opt in"


async def _opt_in(database: Database, _: Cache | None, user: UUID) -> str:
    erasure = await opt_in_user(database, user)
    if erasure is None:
        return f"{user} had not opted out"
    return f"opted in {user}: what is done after {erasure.erased_at:%Y-%m-%d %H:%M:%S} UTC counts"


async def _export(database: Database, cache: Cache | None, user: UUID) -> str:
    found = await export_user(database, cache, user)
    return orjson.dumps(found, option=orjson.OPT_SERIALIZE_NUMPY).decode()


def _call(environ: Environ, user: str, asked: Asked) -> int:
    """Print what comes of it; raise SettingError and Unavailable."""
    try:
        id_ = UUID(user)
    except ValueError:
        print(f"expected a user's id, a UUID, got {user!r}", file=sys.stderr)
        return FAILED
    caching = CacheSettings.load(environ)
    database = Database(DatabaseSettings.load(environ))
    cache = Cache(caching.redis) if caching.redis else None
    print(asyncio.run(_answer(database, cache, id_, asked)))
    return DONE


async def _answer(database: Database, cache: Cache | None, user: UUID, asked: Asked) -> str:
    try:
        return await asked(database, cache, user)
    finally:
        if cache:
            await cache.close()
        await database.close()
