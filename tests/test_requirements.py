"""What is installed is pinned to the byte: every package, and every file that it may come as."""

import re
from dataclasses import dataclass
from importlib.metadata import version

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dev.stack import ROOT

LOCKED = re.compile(
    r"(?P<name>[a-z0-9]+(-[a-z0-9]+)*)==(?P<version>[0-9][0-9a-z.]*)( ; (?P<marker>[^\\]+?))?"
    r"(?P<hashes>( --hash=sha256:[0-9a-f]{64})+)"
)
FILES = ["requirements", "requirements-dev"]


@dataclass(frozen=True)
class Pin:
    """One package: the version, where it is wanted, and what its files hash to."""

    version: str
    marker: str | None
    hashes: frozenset[str]


def locked(name: str) -> dict[str, Pin]:
    """Return the packages of a file; a line that is no pin with hashes is an error."""
    text = (ROOT / f"{name}.txt").read_text()
    lines = [line for line in re.sub(r" \\\n +", " ", text).splitlines() if line[0] != "#"]
    found = {}
    for line in lines:
        match = LOCKED.fullmatch(line)
        assert match, f"expected a version and hashes: {line[:80]}"
        pin = Pin(match["version"], match["marker"], frozenset(match["hashes"].split()))
        assert found.setdefault(match["name"], pin) is pin, f"{match['name']} is there twice"
    return found


def asked(name: str) -> list[Requirement]:
    lines = (ROOT / f"{name}.in").read_text().splitlines()
    return [Requirement(line) for line in lines if line and line[0] not in "#-"]


@pytest.mark.parametrize("name", FILES)
def test_every_package_has_one_version_and_the_hashes_of_its_files(name: str):
    assert len(locked(name)) > 10


@pytest.mark.parametrize("name", FILES)
def test_whatever_is_asked_for_is_locked_at_that_version(name: str):
    pins = locked(name)
    for requirement in asked(name):
        [wanted] = requirement.specifier
        pin = pins[canonicalize_name(requirement.name)]
        assert (wanted.operator, wanted.version) == ("==", pin.version), requirement.name


def test_suite_runs_with_the_very_packages_that_are_deployed():
    developed = locked("requirements-dev")
    for name, pin in locked("requirements").items():
        assert developed[name].version == pin.version, name
        assert developed[name].hashes == pin.hashes, name


def test_suite_runs_with_what_is_locked():
    pins = {
        name: pin
        for name, pin in locked("requirements-dev").items()
        if not pin.marker or Marker(pin.marker).evaluate()
    }
    assert {name: version(name) for name in pins} == {name: p.version for name, p in pins.items()}


@pytest.mark.parametrize("name", FILES)
def test_lock_names_no_index_and_no_machine(name: str):
    assert "/" not in (ROOT / f"{name}.txt").read_text()
    assert "--index" not in (ROOT / f"{name}.txt").read_text()
