-- What this system owns. Safe to apply again, also on a live database:
--   psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -f db/schema.sql

BEGIN;

CREATE EXTENSION IF NOT EXISTS vector;

-- pgvector may live in a schema of its own
DO $$
BEGIN
  PERFORM set_config('search_path', concat_ws(', ', current_setting('search_path'), quote_ident(n.nspname)), true)
  FROM pg_extension e
  JOIN pg_namespace n ON n.oid = e.extnamespace
  WHERE e.extname = 'vector';
END
$$;

-- generated_at: the database's clock when the user's actions were read; an older read never replaces a newer one.
CREATE TABLE IF NOT EXISTS user_embeddings (
  id            UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id       UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  embedding     vector(384),
  model_version TEXT NOT NULL,
  generated_at  TIMESTAMPTZ DEFAULT now(),
  updated_at    TIMESTAMPTZ DEFAULT now(),
  created_by    UUID REFERENCES users (id),
  UNIQUE (user_id)
);

CREATE SCHEMA IF NOT EXISTS embedding;

CREATE TABLE IF NOT EXISTS embedding.runs (
  id            UUID PRIMARY KEY,
  number        BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE,
  window_start  TIMESTAMPTZ NOT NULL,
  window_end    TIMESTAMPTZ NOT NULL,
  progressed_at TIMESTAMPTZ NOT NULL,
  finished_at   TIMESTAMPTZ,
  absorbed      BOOLEAN NOT NULL DEFAULT false,
  chains        INTEGER NOT NULL CHECK (chains > 0),
  users         BIGINT NOT NULL,
  pages         INTEGER NOT NULL
);

-- at most one run is open
CREATE UNIQUE INDEX IF NOT EXISTS runs_one_open ON embedding.runs ((finished_at IS NULL)) WHERE finished_at IS NULL;

-- The work list: a row goes when its user's vector and cache entry are written. No foreign key to the run:
-- checking it would cost a plan of a million users a million look-ups.
CREATE TABLE IF NOT EXISTS embedding.run_users (
  run_id  UUID NOT NULL,
  page    INTEGER NOT NULL CHECK (page >= 0),
  user_id UUID NOT NULL,
  remake  BOOLEAN NOT NULL,
  PRIMARY KEY (run_id, page, user_id)
);

CREATE TABLE IF NOT EXISTS embedding.run_counts (
  run_id UUID NOT NULL REFERENCES embedding.runs (id) ON DELETE CASCADE,
  name   TEXT NOT NULL,
  amount BIGINT NOT NULL,
  PRIMARY KEY (run_id, name)
);

-- Users whom the next run takes though the log's window does not show them.
CREATE TABLE IF NOT EXISTS embedding.due (
  user_id UUID NOT NULL,
  reason  TEXT NOT NULL CHECK (
    reason IN ('late_action', 'retraction', 'deleted_post', 'unembedded_post', 'failed', 'rebuild')
  ),
  PRIMARY KEY (user_id, reason)
);

CREATE TABLE IF NOT EXISTS embedding.failures (
  user_id   UUID PRIMARY KEY,
  reason    TEXT NOT NULL,
  attempts  INTEGER NOT NULL,
  run_id    UUID NOT NULL,
  failed_at TIMESTAMPTZ NOT NULL
);

-- Pages that QStash gave up on; their users join the next run.
CREATE TABLE IF NOT EXISTS embedding.failed_pages (
  run_id    UUID NOT NULL REFERENCES embedding.runs (id) ON DELETE CASCADE,
  page      INTEGER NOT NULL,
  status    INTEGER,
  failed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  PRIMARY KEY (run_id, page)
);

-- On Supabase whatever lies in `public` is served to browsers, under the roles anon and authenticated.
REVOKE ALL ON SCHEMA embedding FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA embedding FROM PUBLIC;
REVOKE ALL ON user_embeddings FROM PUBLIC;
DO $$
DECLARE
  browser TEXT;
BEGIN
  FOR browser IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
    EXECUTE format('REVOKE ALL ON user_embeddings FROM %I', browser);
    EXECUTE format('REVOKE ALL ON SCHEMA embedding FROM %I', browser);
  END LOOP;
END
$$;

COMMIT;
