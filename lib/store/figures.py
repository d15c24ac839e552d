"""Figures that nobody works off: how users stood as a run was planned, what readers counted."""

from collections.abc import Mapping
from uuid import UUID

from lib.store.database import Connection

SURVEYED = 1000
"""Users at most, from pages spread evenly over a run."""

PAGES = 100

AGE_BOUNDS = tuple(3600.0 * hours for hours in (1, 2, 3, 4, 6, 12, 24, 48, 96, 168, 336, 720, 2160))
"""The buckets in which ages of vectors are counted, in seconds: an hour to 90 days."""

SURVEY = """
WITH surveyed AS MATERIALIZED (
  SELECT member.user_id
  FROM generate_series(0, $2::INTEGER - 1, greatest(1, -(-$2::INTEGER / $3::INTEGER))) AS page
  CROSS JOIN LATERAL (
    SELECT user_id
    FROM embedding.run_users
    WHERE run_id = $1::UUID AND run_users.page = page.page
    ORDER BY user_id
    LIMIT $4::INTEGER
  ) AS member
),
aged AS MATERIALIZED (
  SELECT
    extract(epoch FROM statement_timestamp() - (
      SELECT coalesce(generated_at, updated_at, '-infinity')
      FROM user_embeddings
      WHERE user_id = surveyed.user_id AND embedding IS NOT NULL
    ))::FLOAT8 AS age
  FROM surveyed
)
INSERT INTO embedding.run_figures (run_id, name, amount)
SELECT runs.id, name, sum(part.amount)
FROM embedding.runs
CROSS JOIN (
  SELECT 'surveyed' AS name, 1::FLOAT8 AS amount FROM aged
  UNION ALL
  SELECT 'age ' || (SELECT count(*) FROM unnest($5::FLOAT8[]) AS bound WHERE bound < age), 1
  FROM aged
  WHERE age IS NOT NULL
  UNION ALL
  SELECT 'age total', age FROM aged WHERE age IS NOT NULL
) AS part
WHERE runs.id = $1
GROUP BY runs.id, name
ON CONFLICT DO NOTHING
"""


async def survey(connection: Connection, run: UUID, pages: int) -> None:
    """Note how many users of a run that was just planned have a vector, and how old those are.

    Of up to SURVEYED users, of up to PAGES pages: each costs a look-up.
    """
    each = -(-SURVEYED // min(max(pages, 1), PAGES))
    await connection.execute(SURVEY, run, pages, PAGES, each, AGE_BOUNDS)


ADD = """
INSERT INTO embedding.totals AS total (name, amount)
SELECT name, amount FROM unnest($1::TEXT[], $2::FLOAT8[]) AS counted (name, amount) ORDER BY name
ON CONFLICT (name) DO UPDATE SET amount = total.amount + excluded.amount
"""


async def add_totals(connection: Connection, amounts: Mapping[str, float]) -> None:
    """Add to what has been counted since the beginning.

    In the order of the names, so that two writers never wait for each other crosswise.
    """
    await connection.execute(ADD, list(amounts), list(amounts.values()))
