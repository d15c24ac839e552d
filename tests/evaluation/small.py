"""Datasets small enough to work out by hand."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.dataset import Actions, Dataset
from evaluation.ranking import Ranking
from evaluation.split import DAY, Split

TYPES = ("hide_post", "like_post", "report_post", "share_post", "unlike_post", "view_post")

type Row = tuple[int, int, str, float]
"""A user, a post, a type, and a time in days since 2000."""


def dataset(
    rows: Sequence[Row],
    vectors: Sequence[Sequence[float]],
    created: Sequence[float] | None = None,
    users: int | None = None,
) -> Dataset:
    """Return posts 0, 1, ... with these vectors, there from the beginning unless `created`."""
    at = np.array([int(day * DAY) for *_, day in rows], np.int64)
    order = at.argsort(kind="stable")
    user, post = (np.array([row[column] for row in rows], np.intp) for column in (0, 1))
    kind = np.array([TYPES.index(row[2]) for row in rows], np.intp)
    ids = np.frombuffer(b"".join(number.to_bytes(16) for number in range(len(vectors))), "V16")
    born = np.zeros(len(vectors)) if created is None else np.array(created)
    return Dataset(
        "small",
        "Made up.",
        ids,
        np.array(vectors, np.float32),
        (born * DAY).astype(np.int64),
        1 + int(user.max()) if users is None else users,
        TYPES,
        Actions(user, post, kind, at)[order],
    )


def split(relevant: NDArray[np.bool_], seen: NDArray[np.bool_] | None = None) -> Split:
    """Return a split in which all posts are candidates: (n, p) each."""
    users, posts = relevant.shape
    none = np.zeros_like(relevant)
    return Split(
        "small",
        np.zeros(users, np.int64),
        np.ones(posts, np.bool_),
        np.arange(users),
        np.flatnonzero(none if seen is None else seen),
        np.flatnonzero(relevant),
    )


def ranking(*ranks: Sequence[int]) -> Ranking:
    """Return what a ranking found that puts each user's posts at these places."""
    owners = np.repeat(np.arange(len(ranks)), [len(some) for some in ranks])
    return Ranking(
        owners,
        np.concatenate([np.array(some) for some in ranks]),
        np.zeros((len(ranks), 10), np.intp),
    )
