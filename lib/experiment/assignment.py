"""Which scheme an experiment gives a user."""

import hashlib
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from lib.errors import EmbeddingError

NAME = re.compile(r"[a-z0-9-]{1,40}")
ARM = re.compile(r"([a-z0-9-]{1,40}(?:@[1-9][0-9]{0,5})?)=([1-9][0-9]{0,5})")
FEWEST_ARMS, MOST_ARMS = 2, 8


@dataclass(frozen=True)
class Arm:
    """A scheme, and its share of the users beside the other arms' shares."""

    scheme: str
    share: int


@dataclass(frozen=True)
class Experiment:
    """Users divided among schemes. The first arm is what the others are compared with."""

    name: str
    arms: tuple[Arm, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `name:scheme=share,scheme=share`, of 2 to 8 schemes; raise EmbeddingError."""
        name, _, listed = text.partition(":")
        parts = listed.split(",")
        found = [ARM.fullmatch(part) for part in parts]
        if not NAME.fullmatch(name) or None in found:
            raise EmbeddingError(f"expected name:scheme=share,scheme=share, got {text!r}")
        if not FEWEST_ARMS <= len(parts) <= MOST_ARMS:
            raise EmbeddingError(f"expected {FEWEST_ARMS} to {MOST_ARMS} arms, got {len(parts)}")
        arms = tuple(Arm(arm[1], int(arm[2])) for arm in found if arm)
        _demand_distinct(arms)
        return cls(name, arms)

    def arm_of(self, user: UUID) -> str:
        """Return the scheme that the user gets, the same one each time.

        The order of the arms means nothing. Raising a share, or adding an arm, moves users into
        that arm alone, and lowering a share moves them out of it alone. Under another name of the
        experiment, or of a scheme (`decay` is not `decay@1` here), everyone is dealt out anew.
        """
        return min(self.arms, key=lambda arm: self._wait(arm, user)).scheme

    def _wait(self, arm: Arm, user: UUID) -> float:
        """Return an exponential waiting time of rate `share`, drawn for this arm and user alone.

        Whoever is waited for least wins, in proportion to the shares.
        """
        digest = hashlib.sha256(f"{self.name}:{arm.scheme}:{user}".encode()).digest()
        fraction = (int.from_bytes(digest[:8]) + 1) / 2**64
        return -math.log(fraction) / arm.share


def _demand_distinct(arms: tuple[Arm, ...]) -> None:
    spelt = Counter(arm.scheme for arm in arms)
    names = Counter(arm.scheme.partition("@")[0] for arm in arms)
    for arm in arms:
        name, _, version = arm.scheme.partition("@")
        if spelt[arm.scheme] > 1:
            raise EmbeddingError(f"expected arms of different schemes, got {arm.scheme!r} twice")
        if names[name] > 1 and not version:
            raise EmbeddingError(f"expected a version on each arm of {name!r}, one has none")
