"""QStash: the token, the signing keys, the schedule, what it gave up."""

import asyncio

from lib.doctor.finding import Verdict, look, ok, wrong
from lib.doctor.patient import Patient
from lib.qstash.dead_letters import MOST, dead_letters
from lib.qstash.keys import signing_keys
from lib.qstash.schedule import EVERY_TWO_HOURS, Schedule, differences, wanted
from lib.qstash.timetable import timetable
from lib.settings import QueueSettings, SigningKeys

REGISTER = "python schedule.py"


async def keys(patient: Patient) -> Verdict:
    """Compare the keys that QStash signs with to those of the environment."""
    settings, ours = QueueSettings.load(patient.environ), SigningKeys.load(patient.environ)
    theirs = await asyncio.to_thread(signing_keys, settings)
    if ours == theirs:
        return ok("are those that QStash signs with")
    if theirs.current == ours.next:
        said = "were rotated at QStash: what is the next key here is the current one there"
    elif theirs.current == ours.current:
        said = "the next key is another than QStash's: the next rotation would lock it out"
    else:
        said = "are others than QStash signs with: every message is answered 401"
    return wrong(
        said,
        "set QSTASH_CURRENT_SIGNING_KEY and QSTASH_NEXT_SIGNING_KEY to those the console shows,"
        " then redeploy",
    )


async def schedule(patient: Patient) -> Verdict:
    """Compare the schedule at QStash with what registering would make."""
    settings = QueueSettings.load(patient.environ)
    found = await asyncio.to_thread(_found, settings)
    if found is None:
        return wrong("is not registered: no run ever starts", REGISTER)
    if found.paused:
        return wrong("is paused: no run starts", "python schedule.py resume")
    lines = differences(wanted(settings, EVERY_TWO_HOURS), found)
    if lines:
        return wrong("is not as it would be registered: " + "; ".join(lines), REGISTER)
    return ok(f"is live: {found.cron}")


def _found(settings: QueueSettings) -> Schedule | None:
    with timetable(settings.url, settings.token, settings.bypass) as qstash:
        return qstash.find()


async def given_up(patient: Patient) -> Verdict:
    """Count the messages of ours that QStash gave up on, and still keeps."""
    async with dead_letters(QueueSettings.load(patient.environ)) as dead:
        found = await dead.count(MOST)
    if found:
        number = f"{MOST} or more" if found == MOST else str(found)
        return look(
            f"{number} of our messages were given up: what they left undone, the next run does",
            "python schedule.py dlq, which shows what was answered; then dlq-drop, or dlq-retry",
        )
    return ok("there are none of ours")
