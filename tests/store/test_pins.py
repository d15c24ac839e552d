from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import asyncpg
import numpy as np
import pytest

from lib.embedding import DIMENSIONS, SCHEMES, Scheme, aggregate
from lib.store.actions import read_log
from lib.store.posts import read_embeddings
from tests.embedding.histories import of_rows
from tests.scene import MODEL, act, embed


class Pin(NamedTuple):
    """A vector's first numbers and its moments, its offset, and what all actions weigh."""

    begins: tuple[float, ...]
    moments: tuple[float, float]
    centre: float
    weight: float


PINS = {
    "baseline@1": Pin(
        (-0.047924, -0.015678, 0.025113, 0.037282, 0.027153, -0.116702, 0.035545, 0.027856),
        (-9.95919, -3823.3335),
        0.0,
        33.0,
    ),
    "decay@1": Pin(
        (-0.046485, -0.015643, 0.024897, 0.037491, 0.025939, -0.116868, 0.03659, 0.028229),
        (-9.885651, -3794.8143),
        0.0,
        8.400029498810781,
    ),
    "centred@1": Pin(
        (-0.025581, -0.021759, 0.0152, 0.05578, 0.001149, -0.091522, 0.028169, 0.016282),
        (-9.012251, -3463.0121),
        -1.3715338,
        33.0,
    ),
    "recommended@1": Pin(
        (-0.013363, -0.014324, 0.006238, 0.045833, 0.006298, -0.091003, 0.042484, 0.006054),
        (-4.50648, -1730.3482),
        -1.4600323,
        18.815732834517082,
    ),
}
LOG = (
    (0, "view_post"),
    (1, "like_post"),
    (2, "comment_post"),
    (3, "bookmark_post"),
    (4, "share_post"),
    (0, "view_post"),
    (1, "view_post"),
    (2, "like_post"),
    (2, "unlike_post"),
    (4, "bookmark_post"),
    (4, "unbookmark_post"),
    (4, "hide_post"),
    (3, "report_post"),
    (5, "share_post"),
    (6, "share_post"),
)
TURNS = np.arange(1, DIMENSIONS + 1)
MEAN = 0.3 * np.cos(TURNS * 2.5)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.label)
async def test_shipped_scheme_makes_of_one_fixed_log_the_vector_that_it_always_made(
    connection: asyncpg.Connection, scheme: Scheme
):
    """Numbers that no change of the code may change: a scheme is superseded, never edited."""
    user = UUID(int=1)
    posts = [UUID(int=n) for n in range(10, 17)]
    for n, post in enumerate(posts):
        await connection.execute("INSERT INTO posts (id) VALUES ($1)", post)
        if n < 6:
            # of different lengths: embeddings are taken as they are
            model = "another" if n == 5 else MODEL
            await embed(connection, post, (1 + n / 4) * np.sin(TURNS * (n + 1)), model)
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    for turn, (n, kind) in enumerate(LOG):
        # five a day, so that some views are of one day, and one day of every ten
        hours = turn % 5 + 24 * (turn // 5) * 10
        await act(connection, user, posts[n], kind, at + timedelta(hours=hours))
    as_of = at + timedelta(days=60)
    log = await read_log(connection, [user], timedelta(days=90), scheme, 1000, as_of=as_of)
    embeddings, embedded = await read_embeddings(connection, log.histories.distinct_posts, MODEL)
    mean = MEAN if scheme.centred else None
    made = aggregate(log.histories, of_rows(embeddings), scheme, np.array([3]), mean)
    [vector] = made.vectors.astype(np.float64)
    assert embedded.tolist() == [True] * 5 + [False] * 2
    assert (made.posts[0], log.actions[0], log.unknown[0]) == (5, 9 + bool(scheme.negatives), 1)
    pin = PINS[scheme.label]
    assert tuple(np.round(vector[:8], 6)) == pin.begins
    assert (vector @ TURNS, vector @ TURNS**2) == pytest.approx(pin.moments, rel=1e-5)
    assert made.centres[0] == pytest.approx(pin.centre, rel=1e-5)
    assert made.weights[0] == pytest.approx(pin.weight, rel=1e-9)
