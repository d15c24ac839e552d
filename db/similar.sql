-- Opt-in: a copy of the vectors with an index, for finding similar users among very many. See bench/SIMILAR.md for how
-- many. Where it is there, it is used, and brought up to date after each run. Apply it after db/schema.sql, with
-- DIRECT_URL, outside a transaction; safe to apply again:
--   psql "$DIRECT_URL" -v ON_ERROR_STOP=1 -c "SET statement_timeout = 0" -c "SET maintenance_work_mem = '1GB'" -f db/similar.sql
-- To go back:
--   DROP TABLE embedding.user_neighbours;
--   DROP FUNCTION embedding.note_neighbours CASCADE;
--   DROP TABLE embedding.neighbours_due;

-- pgvector may live in a schema of its own
DO $$
BEGIN
  PERFORM set_config('search_path', concat_ws(', ', current_setting('search_path'), quote_ident(n.nspname)), false)
  FROM pg_extension e
  JOIN pg_namespace n ON n.oid = e.extnamespace
  WHERE e.extname = 'vector';
END
$$;

-- Whose vector has changed since it was copied: a row for each time, so that none waits for another.
BEGIN;

CREATE TABLE IF NOT EXISTS embedding.neighbours_due (
  id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id UUID NOT NULL
);

CREATE OR REPLACE FUNCTION embedding.note_neighbours() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  INSERT INTO embedding.neighbours_due (user_id) SELECT user_id FROM changed;
  RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION embedding.note_neighbours() FROM PUBLIC;

CREATE OR REPLACE TRIGGER note_neighbours_made AFTER INSERT ON user_embeddings
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION embedding.note_neighbours();
CREATE OR REPLACE TRIGGER note_neighbours_changed AFTER UPDATE ON user_embeddings
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION embedding.note_neighbours();

COMMIT;

-- Seen by nobody before it is whole.
BEGIN;

CREATE TABLE IF NOT EXISTS embedding.user_neighbours (
  user_id       UUID PRIMARY KEY,
  model_version TEXT NOT NULL,
  embedding     vector(384) NOT NULL
);

INSERT INTO embedding.user_neighbours (user_id, model_version, embedding)
SELECT user_id, model_version, embedding FROM user_embeddings WHERE embedding IS NOT NULL
ON CONFLICT DO NOTHING;

CREATE INDEX IF NOT EXISTS user_neighbours_embedding
  ON embedding.user_neighbours USING hnsw (embedding vector_ip_ops);

REVOKE ALL ON embedding.user_neighbours, embedding.neighbours_due FROM PUBLIC;
-- Where db/roles.sql was applied; applied later, it grants the same.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'user_embeddings') THEN
    GRANT SELECT, INSERT, UPDATE, DELETE ON embedding.user_neighbours TO user_embeddings;
    GRANT SELECT, DELETE ON embedding.neighbours_due TO user_embeddings;
  END IF;
END
$$;

COMMIT;

-- Last, and for a moment only: it keeps writers of vectors waiting.
DO $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_constraint WHERE conrelid = 'embedding.user_neighbours'::REGCLASS AND contype = 'f'
  ) THEN
    LOCK TABLE user_embeddings IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM embedding.user_neighbours AS copy
    WHERE NOT EXISTS (SELECT FROM user_embeddings AS held WHERE held.user_id = copy.user_id);
    ALTER TABLE embedding.user_neighbours
      ADD FOREIGN KEY (user_id) REFERENCES user_embeddings (user_id) ON DELETE CASCADE;
  END IF;
END
$$;
