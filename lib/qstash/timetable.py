"""Keeping this deployment's one schedule at QStash, from a command."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from qstash import QStash
from qstash.errors import QStashError

from lib.qstash.connection import TOTAL_SECONDS, calling, connect, disconnect, missing
from lib.qstash.delivery import delivery
from lib.qstash.schedule import SCHEDULE_ID, Schedule, differences, live, wanted
from lib.settings import QueueSettings


@dataclass(frozen=True)
class Registration:
    """What registering did; `changes` are the differences that there were."""

    created: bool
    changes: tuple[str, ...]


class Timetable:
    """The schedule with the id SCHEDULE_ID. Every call raises Unavailable if QStash fails it."""

    def __init__(self, client: QStash, *secrets: str | None) -> None:
        self._client = client
        self._secrets = secrets

    def find(self) -> Schedule | None:
        """Return the schedule, or None if there is none."""
        with calling(*self._secrets):
            try:
                return live(self._client.schedule.get(SCHEDULE_ID))
            except QStashError as error:
                if missing(error):
                    return None
                raise

    def register(self, settings: QueueSettings, cron: str) -> Registration:
        """Create the schedule, or make it as it should be: running, too, if it was paused."""
        should, found = wanted(settings, cron), self.find()
        # written even if nothing differs: a changed bypass secret cannot be seen from outside
        with calling(*self._secrets):
            self._client.schedule.create(
                destination=should.destination,
                cron=should.cron,
                body=should.body,
                schedule_id=SCHEDULE_ID,
                **delivery(settings),
            )
        if found is None:
            return Registration(created=True, changes=())
        if found.paused:
            # documented is only that a new schedule takes the old one's place
            self.resume()
        return Registration(created=False, changes=differences(should, found))

    def pause(self) -> None:
        """Let ticks pass until resume."""
        with calling(*self._secrets):
            self._client.schedule.pause(SCHEDULE_ID)

    def resume(self) -> None:
        """Undo pause."""
        with calling(*self._secrets):
            self._client.schedule.resume(SCHEDULE_ID)

    def remove(self) -> bool:
        """Delete the schedule and return whether there was one."""
        with calling(*self._secrets):
            try:
                self._client.schedule.delete(SCHEDULE_ID)
            except QStashError as error:
                if missing(error):
                    return False
                raise
        return True


@contextmanager
def timetable(
    url: str, token: str, bypass: str | None = None, seconds: float = TOTAL_SECONDS
) -> Iterator[Timetable]:
    """Yield the timetable of the QStash account that `token` opens.

    Connecting may take CONNECT_SECONDS, and every other wait of a call `seconds`.
    """
    client = connect(url, token, seconds)
    try:
        yield Timetable(client, token, bypass)
    finally:
        disconnect(client)
