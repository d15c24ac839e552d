"""Redis: whether what a page does there can be done."""

from lib.cache import Cache
from lib.doctor.finding import Verdict, ok, wrong
from lib.doctor.patient import Patient
from lib.errors import Unavailable
from lib.settings import CacheSettings


async def redis(patient: Patient) -> Verdict:
    """Write a key of its own for a moment, look at it, delete it."""
    settings = CacheSettings.load(patient.environ)
    if settings.redis is None:
        return ok("is not used (CACHE_MODE=off)")
    cache = Cache(settings.redis)
    try:
        left = await cache.prove()
    except Unavailable as error:
        return wrong(str(error), _remedy(str(error)))
    finally:
        await cache.close()
    if left <= 0:
        return wrong(
            f"keeps no time to live: {left} s after one was set",
            "see whether UPSTASH_REDIS_REST_URL names a Redis of its own for this",
        )
    return ok("can be written, read and deleted from")


def _remedy(said: str) -> str:
    if "NOPERM" in said or "READONLY" in said:
        return "UPSTASH_REDIS_REST_TOKEN must be the one that may write, not the read-only token"
    if "WRONGPASS" in said or "Unauthorized" in said:
        return "set UPSTASH_REDIS_REST_TOKEN to the REST token that the console shows"
    return "set UPSTASH_REDIS_REST_URL to the REST URL that the console shows"
