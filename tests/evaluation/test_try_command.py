import os
import subprocess
import sys

import asyncpg
import pytest

from dev.stack import ROOT
from tests.scene import build

PASSWORD = "s3cr3t-of-theirs"


def run(url: str, **environ: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(  # our own program
        [sys.executable, "-m", "evaluation.tryout"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url, **environ},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert PASSWORD not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


async def test_it_needs_nothing_but_the_url(bare: asyncpg.Connection, bare_url: str):
    await build(bare)
    done = run(bare_url.replace("postgres@", f"postgres:{PASSWORD}@"), DAYS="45")
    assert done.returncode == 0, done.stderr
    assert "60  users who acted in the last 90 days: all of them" in done.stdout
    assert "To install" in done.stdout


async def test_no_such_database_is_told(bare_url: str):
    host = bare_url.partition("?")[2]
    done = run(f"postgresql://postgres:{PASSWORD}@/nowhere?{host}")
    assert done.returncode == 1
    assert 'database "nowhere" does not exist' in done.stderr


WRONG = {
    "unset": ("", "DATABASE_URL is missing"),
    "no url": (PASSWORD, "DATABASE_URL must be a postgresql:// URL"),
    "slash in the password": (
        f"postgresql://u:{PASSWORD}/x@127.0.0.1/db",
        "DATABASE_URL must be a postgresql:// URL, reserved characters of its password escaped",
    ),
    "colon for a port": (f"postgresql://u:{PASSWORD}@127.0.0.1:{PASSWORD}/db", "DATABASE_URL must"),
    "nobody there": (f"postgresql://u:{PASSWORD}@127.0.0.1:1/db", "ConnectionRefusedError"),
    "unknown sslmode": (
        f"postgresql://u:{PASSWORD}@127.0.0.1:1/db?sslmode={PASSWORD}",
        "make try: ",
    ),
    "unknown host": (f"postgresql://u:{PASSWORD}@nowhere.invalid/db", "make try: "),
    "two hosts": (f"postgresql://u:{PASSWORD}@127.0.0.1:1,127.0.0.1:x/db", "make try: "),
}


@pytest.mark.parametrize(("url", "message"), WRONG.values(), ids=WRONG)
def test_a_url_that_leads_nowhere_is_told_without_its_password(url: str, message: str):
    done = run(url)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stdout == ""


def test_days_must_be_a_number():
    assert "DAYS must be a whole number" in run("postgresql://u@127.0.0.1:1/x", DAYS="x").stderr
