"""The schedule of this deployment at QStash, and starting a run by hand."""

import argparse
import asyncio
import os
import shlex
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

from lib.errors import SettingError, Unavailable
from lib.qstash.delivery import BYPASS, destination
from lib.qstash.message import Start, encode
from lib.qstash.queue import Queue
from lib.qstash.schedule import EVERY_TWO_HOURS, SCHEDULE_ID, differences, wanted
from lib.qstash.signature import LIFETIME, sign
from lib.qstash.timetable import Registration, Timetable, timetable
from lib.settings import Environ, QueueSettings, app_url, table

DONE = 0
DIFFERENT = 1
FAILED = 2


def schedule_user_embedding_generation(cron: str = EVERY_TWO_HOURS) -> Registration:
    """Have runs started by `cron` (UTC): create the schedule, or change the one there is.

    Settings come from the environment; raises SettingError or Unavailable.
    """
    return _register(os.environ, cron)


def register(environ: Environ, cron: str) -> int:
    registration = _register(environ, cron)
    if registration.created:
        print(f"created {SCHEDULE_ID}: {cron}")
    elif not registration.changes:
        print(f"unchanged {SCHEDULE_ID}: {cron}")
    for change in registration.changes:
        print(f"changed {change}")
    return DONE


def check(environ: Environ, cron: str) -> int:
    settings = QueueSettings.load(environ)
    with timetable(settings.url, settings.token, settings.bypass) as qstash:
        found = qstash.find()
    if found is None:
        print(f"{SCHEDULE_ID} is not registered")
        return DIFFERENT
    lines = differences(wanted(settings, cron), found)
    for line in lines:
        print(line)
    if lines:
        return DIFFERENT
    print(f"{SCHEDULE_ID} is as it should be: {cron}")
    return DONE


def show(environ: Environ) -> int:
    with _account(environ) as qstash:
        found = qstash.find()
    if found is None:
        print(f"{SCHEDULE_ID} is not registered")
        return DIFFERENT
    for name, value in asdict(found).items():
        print(f"{name.replace('_', ' '):17}{value}")
    return DONE


def trigger(environ: Environ) -> int:
    message = asyncio.run(_publish_start(Queue(QueueSettings.load(environ))))
    print(f"published a start message: {message}")
    return DONE


async def _publish_start(queue: Queue) -> str:
    try:
        return await queue.publish_start()
    finally:
        await queue.close()


def pause(environ: Environ) -> int:
    with _account(environ) as qstash:
        qstash.pause()
    print(f"paused {SCHEDULE_ID}")
    return DONE


def resume(environ: Environ) -> int:
    with _account(environ) as qstash:
        qstash.resume()
    print(f"resumed {SCHEDULE_ID}")
    return DONE


def remove(environ: Environ) -> int:
    with _account(environ) as qstash:
        removed = qstash.remove()
    print(f"removed {SCHEDULE_ID}" if removed else f"{SCHEDULE_ID} was not registered")
    return DONE


def print_signed(environ: Environ) -> int:
    """Print a curl command that starts a run, and that the function takes for QStash's."""
    key = table.QSTASH_CURRENT_SIGNING_KEY.load(environ)
    url, body = destination(app_url(environ)), encode(Start())
    token = sign(body.encode(), url, key, time.time(), f"jwt_{uuid.uuid4().hex}")
    print(f"curl -X POST {shlex.quote(url)} \\")
    print("  -H 'Content-Type: application/json' \\")
    if environ.get("VERCEL_AUTOMATION_BYPASS_SECRET"):
        print(f'  -H "{BYPASS}: $VERCEL_AUTOMATION_BYPASS_SECRET" \\')
    print(f"  -H 'Upstash-Signature: {token}' \\")
    print(f"  -d {shlex.quote(body)}")
    print(f"the signature is valid for {LIFETIME // 60} minutes", file=sys.stderr)
    return DONE


COMMANDS: dict[str, Callable[[Environ], int]] = {
    "show": show,
    "trigger": trigger,
    "pause": pause,
    "resume": resume,
    "remove": remove,
    "sign": print_signed,
}


def _register(environ: Environ, cron: str) -> Registration:
    settings = QueueSettings.load(environ)
    with timetable(settings.url, settings.token, settings.bypass) as qstash:
        return qstash.register(settings, cron)


@contextmanager
def _account(environ: Environ) -> Iterator[Timetable]:
    url, token = table.QSTASH_URL.load(environ), table.QSTASH_TOKEN.load(environ)
    with timetable(url, token) as qstash:
        yield qstash


def main(arguments: list[str], environ: Environ) -> int:
    """Run a command and return its exit code; usage errors leave by SystemExit."""
    parser = argparse.ArgumentParser(prog="schedule.py", description=__doc__)
    parser.add_argument(
        "command",
        nargs="?",
        choices=["register", *COMMANDS],
        default="register",
        help="register (the default) creates or changes the schedule, and resumes it;"
        " trigger starts a run now; sign prints a curl command that does",
    )
    parser.add_argument(
        "--cron", default=EVERY_TWO_HOURS, help="when to start runs, in UTC (%(default)s)"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="change nothing; exit 1 and say where the schedule is not as register would make it",
    )
    asked = parser.parse_args(arguments)
    if asked.command != "register" and (asked.check or asked.cron != EVERY_TWO_HOURS):
        parser.error(f"--cron and --check do not go with {asked.command}")
    try:
        if asked.check:
            return check(environ, asked.cron)
        if asked.command == "register":
            return register(environ, asked.cron)
        return COMMANDS[asked.command](environ)
    except (SettingError, Unavailable) as error:
        print(error, file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
