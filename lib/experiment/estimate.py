"""A number that is known but for chance."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A number, and the margin of its 95 % interval."""

    value: float
    margin: float

    @property
    def low(self) -> float:
        return self.value - self.margin

    @property
    def high(self) -> float:
        return self.value + self.margin

    @property
    def shown(self) -> bool:
        """Whether the interval leaves out 0."""
        return not self.low <= 0 <= self.high
