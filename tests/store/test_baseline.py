from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import numpy as np
import pytest

from lib.embedding import BASELINE, DIMENSIONS, aggregate
from lib.store.actions import read_log
from lib.store.posts import read_embeddings
from tests.embedding.histories import of_rows
from tests.scene import MODEL, act, embed

BASELINE_1 = (-0.047924, -0.015678, 0.025113, 0.037282, 0.027153, -0.116702, 0.035545, 0.027856)
BASELINE_1_MOMENTS = (-9.95919, -3823.3334)
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


async def test_baseline_1_makes_of_one_fixed_log_the_vector_that_it_always_made(
    connection: asyncpg.Connection,
):
    """Numbers that no change of the code may change: a scheme is superseded, never edited."""
    user = UUID(int=1)
    posts = [UUID(int=n) for n in range(10, 17)]
    turns = np.arange(1, DIMENSIONS + 1)
    for n, post in enumerate(posts):
        await connection.execute("INSERT INTO posts (id) VALUES ($1)", post)
        if n < 6:
            # of different lengths: embeddings are taken as they are
            model = "another" if n == 5 else MODEL
            await embed(connection, post, (1 + n / 4) * np.sin(turns * (n + 1)), model)
    at = datetime.now(UTC) - timedelta(days=1)
    for second, (n, kind) in enumerate(LOG):
        await act(connection, user, posts[n], kind, at + timedelta(seconds=second))
    log = await read_log(connection, [user], timedelta(days=90), BASELINE, 1000)
    embeddings, embedded = await read_embeddings(connection, log.histories.distinct_posts, MODEL)
    made = aggregate(log.histories, of_rows(embeddings), BASELINE, np.array([3]), None)
    [vector] = made.vectors.astype(np.float64)
    assert embedded.tolist() == [True] * 5 + [False] * 2
    assert (made.posts[0], made.weights[0], log.actions[0], log.unknown[0]) == (5, 33.0, 9, 1)
    assert tuple(np.round(vector[:8], 6)) == BASELINE_1
    moments = (vector @ turns, vector @ turns**2)
    assert moments == pytest.approx(BASELINE_1_MOMENTS, rel=1e-5)
