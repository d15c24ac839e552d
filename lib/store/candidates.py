"""Posts that a user may be shown: near to what the user likes, popular, or new."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from pgvector import Vector

from lib.embedding import DIMENSIONS
from lib.embedding.schemes import NEGATIVES
from lib.store.actions import POSTGRES_EPOCH
from lib.store.database import Connection

HOTTEST = 2000
"""Popular posts are looked for among so many."""

PROBES = 32
"""So many of the index's lists, those nearest to a taste, are looked through, and more of them if
too few of their posts may be shown."""

KNOWN = 50
"""For so many posts that a user knows, one more list: those nearest hold little else."""

MOST_PROBES = 1000

# For this transaction. pgvector's operators are found wherever it lives; a look into an index goes
# on behind posts that are left out; statements are planned for the values they come with.
SETTLE = """
SELECT
  set_config(
    'search_path',
    concat_ws(', ', nullif(current_setting('search_path'), ''), quote_ident(n.nspname)),
    true
  ),
  set_config('ivfflat.iterative_scan', 'relaxed_order', true),
  set_config('ivfflat.probes', $1::TEXT, true),
  set_config('hnsw.iterative_scan', 'relaxed_order', true),
  set_config('hnsw.ef_search', '400', true),
  set_config('plan_cache_mode', 'force_custom_plan', true),
  set_config('jit', 'off', true)
FROM pg_extension e
JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'vector'
"""


async def settle(connection: Connection, known: int) -> None:
    """Prepare a transaction to look for candidates of a user who knows so many posts."""
    await connection.execute(SETTLE, str(min(PROBES + known // KNOWN, MOST_PROBES)))


@dataclass(frozen=True)
class Wanted:
    """What posts are looked for.

    `user`: whose own posts, and those disliked or hidden, are left out, and with `unseen` all that
    the user ever acted on. `model`: of the posts' embeddings. `number`: how many of each kind.
    `since`: not created before; `topics`: of one of these, () of any.
    """

    user: UUID
    model: str
    number: int
    unseen: bool
    since: datetime | None
    topics: tuple[str, ...]


@dataclass(frozen=True)
class Candidates:
    """Posts that may be shown, n of them in the order of their ids.

    `posts`: ids; `vectors`: (n, 384) float32; `created`: when each was made; `heats`: (n,), -inf of
    one nobody acted on. `read_at`: the database's clock; `half_life`: in days, of the heats, and
    `hottest`: the highest of all posts'. `nearest`: how many the looks by vector found.
    """

    posts: tuple[UUID, ...]
    vectors: NDArray[np.float32]
    created: tuple[datetime, ...]
    heats: NDArray[np.float64]
    read_at: datetime
    half_life: float
    hottest: float
    nearest: int


# With $4 the order is by something that no index has: every post is looked at. NOT IN: whom the
# user knows becomes a hash, looked up once for each post.
READ_CANDIDATES = """
WITH known AS MATERIALIZED (
  SELECT DISTINCT post_id
  FROM action_log
  WHERE user_id = $1::UUID AND ($6::BOOLEAN OR action_type = ANY ($7::TEXT[]))
),
nearest AS MATERIALIZED (
  SELECT near.post_id
  FROM unnest($3::vector[]) AS taste (vector)
  CROSS JOIN LATERAL (
    SELECT post_embeddings.post_id
    FROM post_embeddings
    JOIN posts ON posts.id = post_embeddings.post_id
    WHERE model_version = $2::TEXT AND embedding IS NOT NULL
      AND post_embeddings.post_id NOT IN (SELECT post_id FROM known)
      AND author_id IS DISTINCT FROM $1::UUID
      AND ($8::TIMESTAMPTZ IS NULL OR created_at >= $8::TIMESTAMPTZ)
      AND ($9::TEXT[] = '{}' OR topic = ANY ($9::TEXT[]))
    ORDER BY CASE WHEN $4::BOOLEAN
      THEN 0 + (embedding <#> taste.vector) ELSE embedding <#> taste.vector
    END
    LIMIT $5::BIGINT
  ) AS near
),
popular AS (
  SELECT hot.post_id
  FROM (
    SELECT post_id, heat
    FROM embedding.post_popularity
    ORDER BY heat DESC, post_id
    LIMIT $10::BIGINT
  ) AS hot
  JOIN post_embeddings ON post_embeddings.post_id = hot.post_id
  JOIN posts ON posts.id = hot.post_id
  WHERE model_version = $2::TEXT AND embedding IS NOT NULL
    AND hot.post_id NOT IN (SELECT post_id FROM known)
    AND author_id IS DISTINCT FROM $1::UUID
    AND ($8::TIMESTAMPTZ IS NULL OR created_at >= $8::TIMESTAMPTZ)
    AND ($9::TEXT[] = '{}' OR topic = ANY ($9::TEXT[]))
  ORDER BY hot.heat DESC, hot.post_id
  LIMIT $5::BIGINT
),
newest AS (
  SELECT posts.id AS post_id
  FROM posts
  JOIN post_embeddings ON post_embeddings.post_id = posts.id
  WHERE model_version = $2::TEXT AND embedding IS NOT NULL
    AND posts.id NOT IN (SELECT post_id FROM known)
    AND author_id IS DISTINCT FROM $1::UUID
    AND ($8::TIMESTAMPTZ IS NULL OR created_at >= $8::TIMESTAMPTZ)
    AND ($9::TEXT[] = '{}' OR topic = ANY ($9::TEXT[]))
  ORDER BY created_at DESC, posts.id
  LIMIT $5::BIGINT
)
SELECT
  found.post_id::UUID AS post_id,
  embedding::vector AS embedding,
  created_at::TIMESTAMPTZ AS created_at,
  heat,
  statement_timestamp() AS read_at,
  (SELECT half_life FROM embedding.popularity_state) AS half_life,
  (SELECT max(heat) FROM embedding.post_popularity) AS hottest,
  (SELECT count(*) FROM nearest) AS nearest
FROM (
  SELECT post_id FROM nearest UNION SELECT post_id FROM popular UNION SELECT post_id FROM newest
) AS found
JOIN post_embeddings ON post_embeddings.post_id = found.post_id
JOIN posts ON posts.id = found.post_id
LEFT JOIN embedding.post_popularity ON post_popularity.post_id = found.post_id
ORDER BY found.post_id
"""


async def read_candidates(
    connection: Connection, wanted: Wanted, tastes: NDArray[np.float32], *, exactly: bool
) -> Candidates:
    """Return so many posts nearest to each taste, so many popular ones and so many new ones.

    As many of each as there are, if there are fewer. `tastes`: (k, 384), k of 0 or more. Those
    nearest by their inner product; an index may overlook some, or stop early: `exactly` looks at
    every post instead. In a transaction that was settled.
    """
    rows = await connection.fetch(
        READ_CANDIDATES,
        wanted.user,
        wanted.model,
        list(map(Vector, tastes)),
        exactly,
        wanted.number,
        wanted.unseen,
        sorted(NEGATIVES),
        wanted.since,
        wanted.topics,
        HOTTEST,
    )
    if not rows:
        return NONE
    first = rows[0]
    return Candidates(
        tuple(row["post_id"] for row in rows),
        np.stack([row["embedding"].to_numpy() for row in rows]),
        tuple(row["created_at"] for row in rows),
        np.array([-np.inf if row["heat"] is None else row["heat"] for row in rows]),
        first["read_at"],
        first["half_life"] or 1.0,
        -np.inf if first["hottest"] is None else first["hottest"],
        first["nearest"],
    )


NONE = Candidates(
    (), np.empty((0, DIMENSIONS), np.float32), (), np.empty(0), POSTGRES_EPOCH, 1.0, -np.inf, 0
)
