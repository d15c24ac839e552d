"""The stack left up, for somebody to work with."""

import asyncio
import shlex
import socket
from collections.abc import Iterable, Sequence
from typing import NoReturn

from rich.console import Console

from dev.demo import report
from dev.demo.data import settings_for
from dev.demo.introduction import introduced
from dev.demo.platform import Platform, delivering
from dev.demo.servers import Servers
from dev.demo.story import schedule
from dev.functions import Functions
from dev.stack import Ports
from dev.world import World
from lib.qstash.delivery import destination

APP, QSTASH, REDIS = 3000, 8080, 8079
PAUSE = 0.2


async def stay_up(world: World, servers: Servers, console: Console) -> NoReturn:
    """Run the stack over `world`, print how to use it, and show what the functions log."""
    settings = settings_for(world) | {"ALLOW_DEV_TRIGGER": "1"}
    ports = Ports(app=free(APP), qstash=free(QSTASH), redis=free(REDIS))
    async with (
        introduced(console, servers, world, settings, ports) as platform,
        delivering(platform.stack.broker),
    ):
        await schedule(console, platform)
        _show_use(console, platform)
        report.heading(console, "What the functions log, until Ctrl-C")
        await _show_logs(platform.stack.functions)


def free(port: int) -> int:
    """Return `port` if nobody listens there, else 0."""
    try:
        with socket.create_server(("127.0.0.1", port)):
            return port
    except OSError:
        return 0


def _show_use(console: Console, platform: Platform) -> None:
    environ = platform.stack.environ
    report.heading(console, "Paste this into another terminal")
    _copyable(f"export {name}={shlex.quote(value)}" for name, value in sorted(environ.items()))
    report.heading(console, "and try")
    bearer = "Authorization: Bearer $UPSTASH_REDIS_REST_TOKEN"
    _copyable(
        (
            ".venv/bin/python schedule.py trigger",
            f"curl {destination(platform.stack.app_url)}",
            f"""curl "$UPSTASH_REDIS_REST_URL" -H "{bearer}" -d '["DBSIZE"]'""",
            f'{shlex.quote(str(platform.psql))} "$DATABASE_URL"',
        )
    )


def _copyable(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)  # neither wrapped nor cut, as the console would


async def _show_logs(functions: Functions) -> NoReturn:
    last: str | None = None
    while True:
        lines = functions.logs
        for line in _after(last, lines):
            print(line, flush=True)
        last = lines[-1] if lines else None
        await asyncio.sleep(PAUSE)


def _after(last: str | None, lines: Sequence[str]) -> Sequence[str]:
    """Return what follows the very line `last`; old lines are dropped from the front meanwhile."""
    for place in reversed(range(len(lines))):
        if lines[place] is last:
            return lines[place + 1 :]
    return lines
