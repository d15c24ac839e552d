"""What a stored vector says of how it was made."""

import re
from dataclasses import dataclass
from typing import Self

MADE_BY = re.compile(r"(?P<model>.+)/(?P<scheme>[^/@#]+@[0-9]+)(#(?P<mean>[0-9]+))?")


@dataclass(frozen=True)
class Label:
    """What a `model_version` says.

    `model`: of the posts' embeddings; `scheme`: as `name@version`, None for the baseline; `mean`:
    the id of the one that was taken off, None without one.
    """

    model: str
    scheme: str | None
    mean: int | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a `model_version`, as Scheme.stored_as writes it.

        A model's own name may hold slashes; only if its last part looks like `name@version` it is
        mistaken for one of another scheme than the baseline.
        """
        found = MADE_BY.fullmatch(text)
        if found is None:
            return cls(text, None, None)
        mean = found["mean"]
        return cls(found["model"], found["scheme"], None if mean is None else int(mean))
