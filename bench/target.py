"""What was wanted, beside what was found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """`kept`: whether what was found is as good as what was wanted."""

    what: str
    wanted: str
    found: str
    kept: bool


def times(what: str, wanted: float, found: float) -> Target:
    """Return a target that is kept by whatever is not below it."""
    return Target(what, f"{wanted:g} times", f"{found:.1f} times", found >= wanted)


def most(what: str, wanted: float, found: float, digits: int) -> Target:
    """Return a target that is kept by whatever is not above it."""
    return Target(what, f"at most {wanted:g}", f"{found:.{digits}f}", found <= wanted)
