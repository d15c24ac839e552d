import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from dev.load import load
from dev.stack import ROOT
from dev.world import invent
from tests.conftest import CANARIES, assert_hidden, with_password
from tests.scene import MODEL, build


def run(url: str, into: Path) -> subprocess.CompletedProcess[str]:
    """Evaluate what is behind a URL whose password is in nothing that is said or written."""
    done = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-m", "evaluation.live", "--into", str(into)],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": with_password(url), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    written = [file.read_bytes() for file in into.rglob("*") if file.is_file()]
    assert_hidden(b"".join([done.stdout.encode(), done.stderr.encode(), *written]), CANARIES)
    return done


@pytest.mark.timeout(180)
async def test_evaluation_of_a_live_platform_leaves_a_page_and_a_picture(
    bare: asyncpg.Connection, reader_url: str, tmp_path: Path
):
    await load(bare, invent(datetime.now(UTC), users=80), MODEL)
    done = run(reader_url, tmp_path / "results")
    assert done.returncode == 0, done.stderr
    text = " ".join((tmp_path / "results" / "RESULTS.md").read_text().split())
    assert "Read from a live database: all users who acted in the last 180 days" in text
    assert "from `a live platform`" in text
    assert (tmp_path / "results" / "quality.png").stat().st_size > 1000


async def test_a_platform_that_says_too_little_is_told(
    bare: asyncpg.Connection, bare_url: str, tmp_path: Path
):
    await build(bare, users=3)
    await bare.execute("DELETE FROM action_log")
    done = run(bare_url, tmp_path)
    assert done.returncode == 1
    assert "make evaluate: expected actions in action_log" in done.stderr
