"""One run, from the schedule firing to what it leaves behind."""

from dev.demo.failure import Failure
from dev.demo.outcome import Outcome, read
from dev.demo.platform import Platform, delivering
from dev.demo.progress import Show, follow, last_run
from lib.qstash.schedule import SCHEDULE_ID

LAST_LINES = 8


async def fire(platform: Platform, show: Show, seconds: float) -> Outcome:
    """Fire the schedule, show the run's progress, and read what it leaves behind.

    Failure, with what the functions said last, if it takes longer than `seconds`.
    """
    stack = platform.stack
    before = await last_run(platform.connection)
    async with delivering(stack.broker):
        await stack.broker.tick(SCHEDULE_ID)
        try:
            finished = await follow(platform.connection, show, seconds, after=before)
        except Failure as failure:
            failure.add_note("what the functions said last:")
            for line in stack.functions.logs[-LAST_LINES:] or ["nothing"]:
                failure.add_note(line)
            raise
    return await read(platform.connection, platform.redis, finished)
