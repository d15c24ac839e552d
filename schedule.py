"""The command line: this deployment's schedule and messages, its users, its experiments."""

import argparse
import os
import sys
from collections.abc import Callable

from lib.commands import (
    dead_letters,
    doctor,
    experiment,
    rebuild,
    restore,
    shadow,
    status,
    timetable,
    users,
    why,
)
from lib.errors import Damaged, Missing, SettingError, Unavailable
from lib.qstash.schedule import EVERY_TWO_HOURS
from lib.qstash.timetable import Registration
from lib.settings import Environ

FAILED = 2

COMMANDS: dict[str, Callable[[Environ], int]] = {
    "show": timetable.show,
    "trigger": timetable.trigger,
    "pause": timetable.pause,
    "resume": timetable.resume,
    "remove": timetable.remove,
    "sign": timetable.print_signed,
    "doctor": doctor.doctor,
    "dlq": dead_letters.show,
    "status-link": status.link,
    "rebuild": rebuild.rebuild,
    "experiment": experiment.report,
    "shadow": shadow.compare,
    "shadow-drop": shadow.drop,
}
"""Besides `register`, the default."""

OF_A_USER: dict[str, Callable[[Environ, str], int]] = {
    "why": why.why,
    "export": users.export,
    "erase": users.erase,
    "opt-out": users.opt_out,
    "opt-in": users.opt_in,
}

OF_ONE_OR_ALL: dict[str, Callable[[Environ, str | None], int]] = {
    "dlq-retry": dead_letters.retry,
    "dlq-drop": dead_letters.drop,
    "restore": restore.restore_snapshot,
}
"""Of one dead letter, or all; of one snapshot, or the latest."""


def schedule_user_embedding_generation(cron: str = EVERY_TWO_HOURS) -> Registration:
    """Have runs started by `cron` (UTC): create the schedule, or change the one there is.

    Settings come from the environment; raises SettingError or Unavailable.
    """
    return timetable.registration(os.environ, cron)


def main(arguments: list[str], environ: Environ) -> int:
    """Run a command and return its exit code; usage errors leave by SystemExit."""
    parser = argparse.ArgumentParser(
        prog="schedule.py",
        description=__doc__,
        epilog=_explained(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "command",
        nargs="?",
        choices=["register", *COMMANDS, *OF_ONE_OR_ALL, *OF_A_USER],
        metavar="command",
        default="register",
        help="one of those below (%(default)s)",
    )
    parser.add_argument(
        "id", nargs="?", help="the user, dead letter or snapshot that the command is about"
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
    if asked.command in OF_A_USER and not asked.id:
        parser.error(f"{asked.command} takes a user")
    if asked.id is not None and asked.command not in {*OF_A_USER, *OF_ONE_OR_ALL}:
        parser.error(f"{asked.command} takes no id")
    try:
        if asked.check:
            return timetable.check(environ, asked.cron)
        if asked.command == "register":
            return timetable.register(environ, asked.cron)
        if asked.command in OF_A_USER:
            return OF_A_USER[asked.command](environ, asked.id)
        if asked.command in OF_ONE_OR_ALL:
            return OF_ONE_OR_ALL[asked.command](environ, asked.id)
        return COMMANDS[asked.command](environ)
    except (Damaged, Missing, SettingError, Unavailable) as error:
        print(error, file=sys.stderr)
        return FAILED


def _explained() -> str:
    every = {"register": timetable.register, **COMMANDS, **OF_ONE_OR_ALL, **OF_A_USER}
    lines = [
        f"  {name:12} {(command.__doc__ or '').partition(chr(10))[0]}"
        for name, command in every.items()
    ]
    return "\n".join(["commands:", *lines])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
