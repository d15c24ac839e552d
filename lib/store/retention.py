"""What is over goes after 30 days, a few rows a tick; what it came to stays in the totals."""

from lib.store.database import Connection

RUNS = 100
"""So many go at a time: with ticks every two hours, twelve come a day."""

ROWS = 5000
"""So many other rows go at a time."""

# A closed run counts no more users, so each is folded once.
FOLD = """
WITH folded AS (
  UPDATE embedding.runs SET folded = true
  WHERE id = ANY (ARRAY(
    SELECT id
    FROM embedding.runs
    WHERE NOT folded AND finished_at IS NOT NULL
    ORDER BY number
    LIMIT $1::INTEGER
    FOR UPDATE SKIP LOCKED
  ))
  RETURNING id, pages_done, absorbed
)
INSERT INTO embedding.totals AS total (name, amount)
SELECT name, sum(part.amount)
FROM folded
CROSS JOIN LATERAL (
  SELECT name, amount::FLOAT8 FROM embedding.run_counts WHERE run_id = folded.id
  UNION ALL
  SELECT name, amount FROM embedding.run_figures WHERE run_id = folded.id
  UNION ALL
  SELECT 'failed pages', count(*) FROM embedding.failed_pages WHERE run_id = folded.id
  UNION ALL
  SELECT 'pages', pages_done
  UNION ALL
  SELECT CASE WHEN absorbed THEN 'absorbed' ELSE 'finished' END, 1
) AS part (name, amount)
GROUP BY name
ORDER BY name
ON CONFLICT (name) DO UPDATE SET amount = total.amount + excluded.amount
"""


async def fold_runs(connection: Connection) -> None:
    """Add what closed runs came to, of up to RUNS of them, to the totals: each once."""
    await connection.execute(FOLD, RUNS)


# The newest run stays however old it is: the next window begins where it ended.
PRUNE_RUNS = """
DELETE FROM embedding.runs WHERE id = ANY (ARRAY(
  SELECT id
  FROM embedding.runs
  WHERE folded AND window_end < statement_timestamp() - INTERVAL '30 days'
    AND number < (SELECT max(number) FROM embedding.runs)
  ORDER BY number
  LIMIT $1::INTEGER
  FOR UPDATE SKIP LOCKED
))
"""

PRUNE_FAILURES = """
DELETE FROM embedding.failures WHERE user_id = ANY (ARRAY(
  SELECT user_id
  FROM embedding.failures
  WHERE failed_at < statement_timestamp() - INTERVAL '30 days'
  ORDER BY failed_at
  LIMIT $1::INTEGER
  FOR UPDATE SKIP LOCKED
))
"""

PRUNE_REBUILDS = """
DELETE FROM embedding.rebuilds WHERE id = ANY (ARRAY(
  SELECT id
  FROM embedding.rebuilds
  WHERE finished_at < statement_timestamp() - INTERVAL '30 days'
  ORDER BY id
  LIMIT $1::INTEGER
  FOR UPDATE SKIP LOCKED
))
"""

PRUNE_SHOWINGS = """
DELETE FROM embedding.showings WHERE rec_id = ANY (ARRAY(
  SELECT rec_id
  FROM embedding.showings
  WHERE shown_at < statement_timestamp() - INTERVAL '30 days'
  ORDER BY shown_at
  LIMIT $1::INTEGER
  FOR UPDATE SKIP LOCKED
))
"""

PRUNE_EVENTS = """
DELETE FROM embedding.events WHERE digest = ANY (ARRAY(
  SELECT digest
  FROM embedding.events
  WHERE came_at < statement_timestamp() - INTERVAL '7 days'
  ORDER BY came_at
  LIMIT $1::INTEGER
  FOR UPDATE SKIP LOCKED
))
"""


async def prune(connection: Connection) -> None:
    """Delete what is older than it is kept: each statement a bounded number of rows.

    A run goes with its counts, figures and failed pages. Showings and events also go as others
    come; here, those that nothing comes after.
    """
    await connection.execute(PRUNE_RUNS, RUNS)
    await connection.execute(PRUNE_FAILURES, ROWS)
    await connection.execute(PRUNE_REBUILDS, ROWS)
    await connection.execute(PRUNE_SHOWINGS, ROWS)
    await connection.execute(PRUNE_EVENTS, ROWS)
