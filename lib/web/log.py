"""POST /api/actions/log: what users did."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lib.errors import Invalid
from lib.record import Action, Logged, Rejection, log_actions
from lib.record.actions import MOST
from lib.settings import DatabaseSettings, Environ, Tokens
from lib.store.database import Database
from lib.web.answer import answered, done, note
from lib.web.bearer import Bearer
from lib.web.body import demand_known, read_object
from lib.web.fields import as_id, as_time, only

PATH = "/api/actions/log"
LONGEST_BODY = 1_048_576
FIELDS = ("user_id", "post_id", "action_type", "created_at", "event_id", "rec_id")


def routes(environ: Environ) -> Sequence[Route]:
    """Return the function's routes; raise SettingError."""
    database = Database(DatabaseSettings.load(environ))
    bearer = Bearer(Tokens.load(environ).api)

    async def post(request: Request) -> Response:
        bearer.enter(request)
        only(request, ())
        body = await read_object(request, LONGEST_BODY, {"actions"})
        logged = await _log(database, _listed(body))
        counts = {"stored": logged.stored, "repeated": logged.repeated}
        note("logged", **counts, errors=len(logged.rejections))
        return done(counts | {"errors": [asdict(rejection) for rejection in logged.rejections]})

    return [Route(PATH, answered(post), methods=["POST"])]


def _listed(body: dict[str, Any]) -> list[Any]:
    listed = body.get("actions")
    if not isinstance(listed, list) or not 1 <= len(listed) <= MOST:
        raise Invalid("actions", f"a list of 1 to {MOST}")
    return listed


async def _log(database: Database, listed: Sequence[Any]) -> Logged:
    """Log what can be read; places are those in the list."""
    places, actions, rejections = [], [], []
    for place, value in enumerate(listed):
        try:
            actions.append(parse(value))
            places.append(place)
        except Invalid as error:
            rejections.append(Rejection(place, error.field, error.rule))
    logged = await log_actions(database, actions)
    rejections += [replace(said, index=places[said.index]) for said in logged.rejections]
    rejections.sort(key=lambda rejection: rejection.index)
    return replace(logged, rejections=tuple(rejections))


def parse(value: object) -> Action:
    """Read one action, as JSON has it; raise Invalid."""
    if not isinstance(value, dict):
        raise Invalid("action", "an object")
    demand_known(value, FIELDS)
    return Action(
        as_id("user_id", value.get("user_id")),
        as_id("post_id", value.get("post_id")),
        _text("action_type", value.get("action_type")),
        as_time("created_at", value["created_at"]) if "created_at" in value else None,
        _text("event_id", value["event_id"]) if "event_id" in value else None,
        as_id("rec_id", value["rec_id"]) if "rec_id" in value else None,
    )


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise Invalid(name, "text")
    return value
