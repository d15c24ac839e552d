"""Saying what is wrong with the deployment, and what to type."""

import asyncio

from lib.doctor.examination import examination
from lib.doctor.finding import Finding, State
from lib.settings import Environ

WELL = 0
ILL = 1


def doctor(environ: Environ) -> int:
    """Check the whole deployment from outside; say what is wrong, and what to type."""
    return asyncio.run(_doctor(environ))


async def _doctor(environ: Environ) -> int:
    states = []
    async for finding in examination(environ):
        print(_line(finding), flush=True)
        states.append(finding.state)
    wrong, looks = states.count(State.WRONG), states.count(State.LOOK)
    print(f"{len(states)} checks: {wrong} wrong, {looks} to look at")
    return ILL if wrong else WELL


def _line(finding: Finding) -> str:
    line = f"{finding.state:6} {finding.check:13} {finding.said}"
    return line if not finding.remedy else f"{line}\n{'':20} -> {finding.remedy}"
