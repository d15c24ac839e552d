"""The schedule of this deployment at QStash, and starting a run by hand."""

import asyncio
import shlex
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from lib.qstash.delivery import BYPASS, destination
from lib.qstash.message import Start, encode
from lib.qstash.queue import Queue
from lib.qstash.schedule import SCHEDULE_ID, differences, wanted
from lib.qstash.signature import LIFETIME, sign
from lib.qstash.timetable import Registration, Timetable, timetable
from lib.settings import Environ, QueueSettings, app_url, current_key, table

DONE = 0
DIFFERENT = 1


def registration(environ: Environ, cron: str) -> Registration:
    """Create the schedule, or change the one there is; return what was changed."""
    settings = QueueSettings.load(environ)
    with timetable(settings.url, settings.token, settings.bypass) as qstash:
        return qstash.register(settings, cron)


def register(environ: Environ, cron: str) -> int:
    """Create or change the schedule, and resume it: the default."""
    done = registration(environ, cron)
    if done.created:
        print(f"created {SCHEDULE_ID}: {cron}")
    elif not done.changes:
        print(f"unchanged {SCHEDULE_ID}: {cron}")
    for change in done.changes:
        print(f"changed {change}")
    return DONE


def check(environ: Environ, cron: str) -> int:
    """Say where the schedule is not as `register` would make it."""
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
    """Show the schedule as QStash has it."""
    with _account(environ) as qstash:
        found = qstash.find()
    if found is None:
        print(f"{SCHEDULE_ID} is not registered")
        return DIFFERENT
    for name, value in asdict(found).items():
        print(f"{name.replace('_', ' '):17}{value}")
    return DONE


def trigger(environ: Environ) -> int:
    """Start a run now, through QStash."""
    message = asyncio.run(_publish_start(Queue(QueueSettings.load(environ))))
    print(f"published a start message: {message}")
    return DONE


async def _publish_start(queue: Queue) -> str:
    try:
        return await queue.publish_start()
    finally:
        await queue.close()


def pause(environ: Environ) -> int:
    """Stop starting runs until `resume`."""
    with _account(environ) as qstash:
        qstash.pause()
    print(f"paused {SCHEDULE_ID}")
    return DONE


def resume(environ: Environ) -> int:
    """Go on starting runs."""
    with _account(environ) as qstash:
        qstash.resume()
    print(f"resumed {SCHEDULE_ID}")
    return DONE


def remove(environ: Environ) -> int:
    """Remove the schedule."""
    with _account(environ) as qstash:
        removed = qstash.remove()
    print(f"removed {SCHEDULE_ID}" if removed else f"{SCHEDULE_ID} was not registered")
    return DONE


def print_signed(environ: Environ) -> int:
    """Print a curl command that starts a run, and that the function takes for QStash's."""
    key, url, body = current_key(environ), destination(app_url(environ)), encode(Start())
    token = sign(body.encode(), url, key, time.time(), f"jwt_{uuid.uuid4().hex}")
    print(f"curl -X POST {shlex.quote(url)} \\")
    print("  -H 'Content-Type: application/json' \\")
    if environ.get("VERCEL_AUTOMATION_BYPASS_SECRET"):
        print(f'  -H "{BYPASS}: $VERCEL_AUTOMATION_BYPASS_SECRET" \\')
    print(f"  -H 'Upstash-Signature: {token}' \\")
    print(f"  -d {shlex.quote(body)}")
    print(f"the signature is valid for {LIFETIME // 60} minutes", file=sys.stderr)
    return DONE


@contextmanager
def _account(environ: Environ) -> Iterator[Timetable]:
    url, token = table.QSTASH_URL.load(environ), table.QSTASH_TOKEN.load(environ)
    with timetable(url, token) as qstash:
        yield qstash
