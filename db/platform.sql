-- The platform's side, for a database that lacks it: development and tests. A real platform has these tables
-- already, or gives us views of the same names and columns (`users` must be a table, for a foreign key).
-- What is not said NOT NULL may be NULL.

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

CREATE TABLE IF NOT EXISTS users (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid()
);

CREATE TABLE IF NOT EXISTS posts (
  id         UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  author_id  UUID,
  title      TEXT,
  topic      TEXT,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS post_embeddings (
  post_id       UUID PRIMARY KEY REFERENCES posts (id) ON DELETE CASCADE,
  embedding     vector(384),
  model_version TEXT NOT NULL,
  updated_at    TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- No foreign keys: a log may name users and posts that are gone.
CREATE TABLE IF NOT EXISTS action_log (
  id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id     UUID NOT NULL,
  post_id     UUID NOT NULL,
  action_type TEXT NOT NULL,
  created_at  TIMESTAMPTZ NOT NULL DEFAULT now()
);

COMMIT;
