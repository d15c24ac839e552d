"""What is known of some posts and of what users did with them, as arrays."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Actions:
    """Columns of one length (a,), oldest first, those of one time in the order of the log.

    `user` and `post`: numbers; `kind`: a place in the dataset's `types`; `at`: microseconds since
    2000 (UTC).
    """

    user: NDArray[np.intp]
    post: NDArray[np.intp]
    kind: NDArray[np.intp]
    at: NDArray[np.int64]

    def __getitem__(self, rows: Any) -> Self:
        return type(self)(self.user[rows], self.post[rows], self.kind[rows], self.at[rows])


@dataclass(frozen=True, eq=False)
class Dataset:
    """Posts and the actions of `users` users on them.

    `posts`: (p,) of V16, ids in ascending order, so that a post's number is also its place among
    ties. `vectors`: (p, d) float32, zeros where there is no embedding. `created`: (p,) int64,
    microseconds since 2000. `about` says where the data come from and on what terms.
    """

    name: str
    about: str
    posts: NDArray[np.void]
    vectors: NDArray[np.float32]
    created: NDArray[np.int64]
    users: int
    types: tuple[str, ...]
    actions: Actions

    def places(self, *types: str) -> list[int]:
        """Where those of the given types that occur at all stand among `types`."""
        return [self.types.index(name) for name in types if name in self.types]
