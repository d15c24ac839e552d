"""The demonstration from beginning to end."""

from datetime import UTC, datetime

from rich.console import Console

from dev.demo import report
from dev.demo.claims import Claim, check
from dev.demo.data import settings_for
from dev.demo.errand import choose
from dev.demo.introduction import introduced
from dev.demo.outcome import Outcome
from dev.demo.platform import Platform, register_schedule
from dev.demo.portrait import portray
from dev.demo.progress import shown
from dev.demo.servers import Servers
from dev.demo.tick import fire
from dev.demo.visit import visit
from dev.demo.visit_claims import check_visit
from dev.demo.visit_report import show_visit
from dev.world import World
from lib.qstash.schedule import SCHEDULE_ID
from lib.settings import VectorSettings

SECONDS = 60.0


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
        claims = list(check(world, outcome, settings))
        if outcome.vectors:
            claims += await use(console, platform, world, outcome, seconds)
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
    with shown(console) as show:
        return await fire(platform, show, seconds)


async def use(
    console: Console, platform: Platform, world: World, outcome: Outcome, seconds: float
) -> list[Claim]:
    """Show what one vector is good for, and what the routes make of it; return their claims."""
    portrait = portray(world, outcome.vectors)
    report.show_user(console, world, outcome, portrait)
    errand = choose(world, portrait.user, outcome.vectors[portrait.user])
    if errand is None:
        report.heading(console, "The routes are left out: hardly any post is new to this user")
        return []
    visited = await visit(platform, errand, seconds)
    show_visit(console, world, visited)
    return list(check_visit(world, visited))
