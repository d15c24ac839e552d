"""POST /api/impressions: what users were shown by feeds that were built elsewhere."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lib.errors import Invalid
from lib.record import record_impressions
from lib.record.impressions import MOST
from lib.settings import DatabaseSettings, Environ, ImpressionSettings, Tokens
from lib.store.database import Database
from lib.web.answer import answered, done, note
from lib.web.bearer import Bearer
from lib.web.body import read_object
from lib.web.fields import as_id, only

PATH = "/api/impressions"
LONGEST_BODY = 65_536
FIELDS = ("rec_id", "user_id", "posts")


def routes(environ: Environ) -> Sequence[Route]:
    """Return the function's routes; raise SettingError."""
    database = Database(DatabaseSettings.load(environ))
    share = ImpressionSettings.load(environ).share
    bearer = Bearer(Tokens.load(environ).api)

    async def post(request: Request) -> Response:
        bearer.enter(request)
        only(request, ())
        body = await read_object(request, LONGEST_BODY, FIELDS)
        rec_id = as_id("rec_id", body["rec_id"]) if "rec_id" in body else uuid4()
        user, posts = as_id("user_id", body.get("user_id")), read_posts(body)
        await record_impressions(database, rec_id, user, posts, share)
        note("shown", rec_id=rec_id, posts=len(posts))
        return done({"rec_id": rec_id})

    return [Route(PATH, answered(post), methods=["POST"])]


def read_posts(body: dict[str, Any]) -> list[UUID]:
    """Return the ids of the posts that the body lists; raise Invalid."""
    listed = body.get("posts")
    if not isinstance(listed, list) or len(listed) > MOST:
        raise Invalid("posts", f"a list of 1 to {MOST} ids, each once")
    return [as_id("posts", post) for post in listed]
