"""Logging what users did: whatever can be logged is, once, and of all else it is said why not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

from lib.embedding import BASELINE
from lib.errors import Invalid, Unavailable
from lib.store.database import Database
from lib.store.events import Action, Fate, log

MOST = 1000
LONGEST_EVENT_ID = 128
SINCE = datetime(1970, 1, 1, tzinfo=UTC)
UNTIL = datetime(9999, 1, 1, tzinfo=UTC)
TRIES = 3

NOT_AHEAD = "no later than now"
REASONS = {
    Fate.NO_USER: ("user_id", "the id of a user"),
    Fate.NO_POST: ("post_id", "the id of a post"),
    Fate.AHEAD: ("created_at", NOT_AHEAD),
}


@dataclass(frozen=True)
class Rejection:
    """Why the action at this place was not logged: which field breaks which rule."""

    index: int
    field: str
    rule: str


@dataclass(frozen=True)
class Logged:
    """What became of a call: how many actions are new in the log, and how many were there before.

    `rejections`: of all others, in the order of their places.
    """

    stored: int
    repeated: int
    rejections: tuple[Rejection, ...]


async def log_actions(database: Database, actions: Sequence[Action]) -> Logged:
    """Write up to 1,000 actions into the platform's log; raise Invalid of more, or Unavailable.

    Without a `created_at` an action is of now, by the database's clock, which also judges what is
    yet to come. One with an `event_id` may be sent again within seven days and does no harm; the
    first one wins. Whatever `rec_id` says, the action itself is logged.
    """
    if len(actions) > MOST:
        raise Invalid("actions", f"a list of at most {MOST}")
    broken = dict(_broken(actions))
    sound = [place for place in range(len(actions)) if place not in broken]
    fates = await _logged(database, [actions[place] for place in sound]) if sound else []
    for place, fate in zip(sound, fates, strict=True):
        if fate in REASONS:
            broken[place] = Rejection(place, *REASONS[fate])
    rejections = tuple(broken[place] for place in sorted(broken))
    return Logged(fates.count(Fate.STORED), fates.count(Fate.REPEATED), rejections)


def _broken(actions: Sequence[Action]) -> Iterator[tuple[int, Rejection]]:
    for place, action in enumerate(actions):
        try:
            check(action)
        except Invalid as error:
            yield place, Rejection(place, error.field, error.rule)


def check(action: Action) -> None:
    """Raise Invalid if the action breaks a rule that takes no database to tell."""
    if action.action_type not in BASELINE.known_actions:
        raise Invalid("action_type", f"one of {', '.join(sorted(BASELINE.known_actions))}")
    event, time = action.event_id, action.created_at
    if event is not None and not (event.isprintable() and 1 <= len(event) <= LONGEST_EVENT_ID):
        raise Invalid("event_id", f"1 to {LONGEST_EVENT_ID} printable characters")
    if time is None:
        return
    if time.tzinfo is None:
        raise Invalid("created_at", "a time with its offset")
    if time < SINCE:
        raise Invalid("created_at", "a time from 1970 on")
    # beyond, a driver cannot always write it
    if time > UNTIL:
        raise Invalid("created_at", NOT_AHEAD)


async def _logged(database: Database, actions: Sequence[Action]) -> list[Fate]:
    for _ in range(TRIES):
        try:
            async with database.connection() as connection:
                return await log(connection, actions)
        except asyncpg.ForeignKeyViolationError:
            continue  # somebody went meanwhile, and is not there the next time
    raise Unavailable(f"postgres: users went away during each of {TRIES} tries to log actions")
