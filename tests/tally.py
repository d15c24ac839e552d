"""Counting what faults did: the plugin behind the mark `fault` and the fixture `tally`."""

import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom
from uuid import UUID

import asyncpg
import pytest
import valkey.asyncio

from dev.reliability.faults import BY_NUMBER
from dev.reliability.record import Record, append
from lib.embedding.schemes import BASELINE, Scheme
from tests.promises import assert_converged, judge


@dataclass
class Tally:
    """What a test counts; without a count its fault was made once."""

    tried: int = 0
    users: int = 0
    lost: int = 0
    wrong: int = 0
    notes: list[str] = field(default_factory=list)

    def seed(self) -> int:
        """Return a new seed, which is noted, and shown where the test fails."""
        seed = SystemRandom().getrandbits(32)
        self.notes.append(f"seed {seed}")
        print(f"seed {seed}")  # noqa: T201  # see above
        return seed

    def dice(self) -> Random:
        """Return dice that fall anew in each run, by a seed of `seed`."""
        return Random(self.seed())

    async def converged(
        self,
        connection: asyncpg.Connection,
        redis: valkey.asyncio.Valkey,
        users: Sequence[UUID],
        scheme: Scheme = BASELINE,
    ) -> int:
        """Count who is lost and who is wrong, and hold P1; return how many have a vector."""
        verdict = await judge(connection, users, scheme)
        self.users += len(users)
        self.lost += len(verdict.lost)
        self.wrong += len(verdict.wrong)
        return await assert_converged(connection, redis, users, scheme)


KEY = pytest.StashKey[Tally]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", type=Path, help="write what faults did into this folder")
    parser.addoption("--long", action="store_true", help="make each fault many times more often")


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Tally:
    return request.node.stash.setdefault(KEY, Tally())


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether there is an hour to spend."""
    return bool(request.config.getoption("--long"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        unknown = set(faults_of(item)) - set(BY_NUMBER)
        if unknown:
            raise pytest.UsageError(f"{item.nodeid}: no fault has the number {min(unknown)}")


def faults_of(item: pytest.Item) -> tuple[int, ...]:
    """Return the numbers of the faults that a test makes."""
    return tuple(sorted({number for mark in item.iter_markers("fault") for number in mark.args}))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    folder: Path | None = item.config.getoption("--record")
    faults = faults_of(item)
    if folder and faults and report.when == "call" and not report.skipped:
        tally = item.stash.get(KEY, Tally())
        name, _, case = item.nodeid.partition("[")
        record = Record(
            name,
            case.removesuffix("]"),
            faults,
            passed=report.passed,
            tried=tally.tried or 1,
            users=tally.users,
            lost=tally.lost,
            wrong=tally.wrong,
            notes=tuple(tally.notes),
        )
        append(folder / f"{os.environ.get('PYTEST_XDIST_WORKER', 'main')}.jsonl", record)
    return report
