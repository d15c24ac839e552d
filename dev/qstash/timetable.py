"""The schedules, and firing them."""

from dev.qstash.errors import Rejected
from dev.qstash.ledger import Ledger
from dev.qstash.letter import Letter
from dev.qstash.message import Message
from dev.qstash.schedule import Schedule, next_tick

MOST_SCHEDULES = 1_000


class Timetable:
    """Schedules by id; what they publish goes to the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._schedules: dict[str, Schedule] = {}

    def all(self) -> list[Schedule]:
        """Return the schedules in order of creation."""
        return list(self._schedules.values())

    def get(self, schedule_id: str) -> Schedule:
        """Return a schedule; Rejected (404) if there is none with this id."""
        if schedule_id not in self._schedules:
            raise Rejected(404, f"schedule {schedule_id} not found")
        return self._schedules[schedule_id]

    def put(self, schedule_id: str, cron: str, letter: Letter) -> None:
        """Create a schedule; one that had this id is discarded, a pause of it included."""
        if schedule_id not in self._schedules and len(self._schedules) >= MOST_SCHEDULES:
            raise Rejected(412, f"expected at most {MOST_SCHEDULES} schedules")
        now = self._ledger.clock.now()
        try:
            following = next_tick(cron, now)
        except ValueError as error:
            raise Rejected(400, f"invalid cron: {error}") from error
        self._schedules[schedule_id] = Schedule(schedule_id, cron, letter, now, following)
        self._ledger.outbox.changed.set()

    def delete(self, schedule_id: str) -> None:
        """Forget a schedule; its messages stay. Rejected (404) if there is none with this id."""
        del self._schedules[self.get(schedule_id).schedule_id]

    def fire(self, schedule: Schedule) -> Message:
        """Publish the schedule's letter now."""
        schedule.last = self._ledger.write(schedule.letter, schedule.schedule_id)
        schedule.last_time = schedule.last.created
        return schedule.last

    def fire_due(self) -> None:
        """Fire what is due, once however many ticks were missed; a paused tick is lost."""
        now = self._ledger.clock.now()
        for schedule in self._schedules.values():
            if schedule.next_time <= now:
                schedule.next_time = next_tick(schedule.cron, now)
                if not schedule.paused:
                    self.fire(schedule)

    def next_times(self) -> list[float]:
        """Return when each schedule fires next."""
        return [schedule.next_time for schedule in self._schedules.values()]
