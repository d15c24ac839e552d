"""A histogram of few buckets: how a figure was spread, without its values."""

from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True)
class Histogram:
    """`counts`: (n + 1,) how many values were at most each of the n `bounds`, and above all.

    Each value counts once, in the lowest bucket that holds it. `total`: the sum of the values.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)

    @property
    def mean(self) -> float | None:
        """The mean of the values; None without any."""
        return self.total / self.count if self.count else None

    def quantile(self, share: float) -> float | None:
        """Return below which value this share of them is, from 0 to 1; None without any.

        Within a bucket the values are taken to be spread evenly; above the last bound it is that.
        """
        if not self.count:
            return None
        wanted = share * self.count
        place, before = 0, 0
        for place, upto in enumerate(accumulate(self.counts)):
            if upto >= wanted and self.counts[place]:
                break
            before = upto
        if place >= len(self.bounds):
            return self.bounds[-1]
        low = self.bounds[place - 1] if place else 0.0
        return low + (self.bounds[place] - low) * (wanted - before) / self.counts[place]
