"""The demonstration from beginning to end."""

from datetime import UTC, datetime

from rich.console import Console

from dev.demo import report
from dev.demo.claims import check
from dev.demo.data import settings_for
from dev.demo.failure import Failure
from dev.demo.introduction import introduced
from dev.demo.outcome import Outcome, read
from dev.demo.platform import Platform, delivering, register_schedule
from dev.demo.portrait import portray
from dev.demo.progress import follow, shown
from dev.demo.servers import Servers
from dev.world import World
from lib.qstash.schedule import SCHEDULE_ID
from lib.settings import VectorSettings

SECONDS = 60.0
LAST_LINES = 8


async def demonstrate(
    world: World, servers: Servers, console: Console, seconds: float = SECONDS
) -> bool:
    """Run everything over `world`, print what comes of it, and return whether all claims hold.

    Failure if something does not start, or the run takes longer than `seconds`.
    """
    async with introduced(console, servers, world, settings_for(world)) as platform:
        await schedule(console, platform)
        outcome = await run(console, platform, seconds)
        settings = VectorSettings.load(platform.stack.environ)
        report.show_run(console, world, outcome, settings)
        if outcome.vectors:
            report.show_user(console, world, outcome, portray(world, outcome.vectors))
        claims = tuple(check(world, outcome, settings))
        report.show_claims(console, claims)
    return all(claim.kept for claim in claims)


async def schedule(console: Console, platform: Platform) -> None:
    """Register the schedule with the command that a deployment uses."""
    report.heading(console, "The schedule")
    said = await register_schedule(platform.stack)
    tick = platform.stack.broker.timetable.get(SCHEDULE_ID).next_time
    report.listing(
        console,
        [
            ("$ python schedule.py",),
            *((line,) for line in said.splitlines()),
            (f"next tick {datetime.fromtimestamp(tick, UTC):%H:%M} UTC",),
        ],
    )


async def run(console: Console, platform: Platform, seconds: float) -> Outcome:
    """Fire the schedule, show the run's progress, and read what it leaves behind."""
    report.heading(console, "The schedule fires: each message works off a page, and sends the next")
    stack = platform.stack
    with shown(console) as show:
        async with delivering(stack.broker):
            await stack.broker.tick(SCHEDULE_ID)
            try:
                finished = await follow(platform.connection, show, seconds)
            except Failure as failure:
                failure.add_note("what the functions said last:")
                for line in stack.functions.logs[-LAST_LINES:] or ["nothing"]:
                    failure.add_note(line)
                raise
    return await read(platform.connection, platform.redis, finished)
