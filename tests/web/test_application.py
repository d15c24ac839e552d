import subprocess
import sys
from pathlib import Path

import pytest

from tests.web.conftest import FAILED, FUNCTIONS, PROCESS, SETTINGS, application

ROOT = Path(__file__).parents[2]
FILES = {PROCESS: "api/actions/batch-process.py", FAILED: "api/actions/batch-failed.py"}
USED_BY_BOTH = [
    "APP_URL",
    "DATABASE_URL",
    "QSTASH_CURRENT_SIGNING_KEY",
    "QSTASH_NEXT_SIGNING_KEY",
    "QSTASH_TOKEN",
]
USED = {
    PROCESS: [*USED_BY_BOTH, "UPSTASH_REDIS_REST_TOKEN", "UPSTASH_REDIS_REST_URL"],
    FAILED: USED_BY_BOTH,
}


@pytest.mark.parametrize("path", FUNCTIONS)
def test_function_demands_what_it_uses_and_nothing_else(path: str):
    application(path, {name: SETTINGS[name] for name in USED[path]})


@pytest.mark.parametrize(
    ("path", "name"), [(path, name) for path, names in USED.items() for name in names]
)
def test_missing_setting_ends_the_start_with_one_line_that_names_it(path: str, name: str):
    with pytest.raises(SystemExit) as ended:
        application(path, {key: value for key, value in SETTINGS.items() if key != name})
    assert str(ended.value.code).startswith(f"user-embeddings: {name} is missing: ")
    assert len(str(ended.value.code).splitlines()) == 1


@pytest.mark.parametrize("path", FUNCTIONS)
def test_process_whose_setting_is_missing_says_so_in_one_line_and_exits(path: str):
    environ = SETTINGS | {"QSTASH_NEXT_SIGNING_KEY": "", "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(  # noqa: S603  # our own file
        [sys.executable, ROOT / FILES[path]],
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr == (
        "user-embeddings: QSTASH_NEXT_SIGNING_KEY is missing: it must be text without spaces\n"
    )


def test_process_whose_settings_are_complete_starts():
    ended = subprocess.run(  # noqa: S603  # our own file
        [sys.executable, ROOT / FILES[PROCESS]],
        env=SETTINGS | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
