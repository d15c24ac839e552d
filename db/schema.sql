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

-- Figures of a run that status and metrics show: seconds by phase, how much vectors moved, how old they were.
CREATE TABLE IF NOT EXISTS embedding.run_figures (
  run_id UUID NOT NULL REFERENCES embedding.runs (id) ON DELETE CASCADE,
  name   TEXT NOT NULL,
  amount DOUBLE PRECISION NOT NULL,
  PRIMARY KEY (run_id, name)
);

-- What all runs came to that are `folded`: they may be pruned, and no sum ever falls.
CREATE TABLE IF NOT EXISTS embedding.totals (
  name   TEXT PRIMARY KEY,
  amount DOUBLE PRECISION NOT NULL
);
ALTER TABLE embedding.runs ADD COLUMN IF NOT EXISTS pages_done INTEGER NOT NULL DEFAULT 0;
ALTER TABLE embedding.runs ADD COLUMN IF NOT EXISTS folded BOOLEAN NOT NULL DEFAULT false;
CREATE INDEX IF NOT EXISTS runs_unfolded ON embedding.runs (number) WHERE NOT folded;

-- Users whom the next run takes though the log's window does not show them.
CREATE TABLE IF NOT EXISTS embedding.due (
  user_id UUID NOT NULL,
  reason  TEXT NOT NULL,
  PRIMARY KEY (user_id, reason)
);
ALTER TABLE embedding.due DROP CONSTRAINT IF EXISTS due_reason_check;
ALTER TABLE embedding.due ADD CONSTRAINT due_reason_check CHECK (
  reason IN (
    'late_action', 'retraction', 'deleted_action', 'deleted_post', 'unembedded_post', 'failed', 'rebuild',
    'removed', 'erased', 'opted_in'
  )
);

CREATE TABLE IF NOT EXISTS embedding.failures (
  user_id   UUID PRIMARY KEY,
  reason    TEXT NOT NULL,
  attempts  INTEGER NOT NULL,
  run_id    UUID NOT NULL,
  failed_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX IF NOT EXISTS failures_failed ON embedding.failures (failed_at);

-- Pages that QStash gave up on; their users join the next run.
CREATE TABLE IF NOT EXISTS embedding.failed_pages (
  run_id    UUID NOT NULL REFERENCES embedding.runs (id) ON DELETE CASCADE,
  page      INTEGER NOT NULL,
  status    INTEGER,
  failed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  PRIMARY KEY (run_id, page)
);
CREATE INDEX IF NOT EXISTS failed_pages_failed ON embedding.failed_pages (failed_at);

-- The mean of a model's post embeddings, which centred schemes take off. A row never changes: vectors name theirs.
CREATE TABLE IF NOT EXISTS embedding.means (
  id     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  model  TEXT NOT NULL,
  cut    TIMESTAMPTZ NOT NULL,
  count  BIGINT NOT NULL,
  vector vector(384) NOT NULL
);
CREATE INDEX IF NOT EXISTS means_model ON embedding.means (model, id);

-- When a model's mean was last compared with its posts, and how far they had moved from it.
CREATE TABLE IF NOT EXISTS embedding.mean_checks (
  model      TEXT PRIMARY KEY,
  checked_at TIMESTAMPTZ NOT NULL,
  moved      DOUBLE PRECISION NOT NULL
);

-- For a centred vector u: u . m. Scores that meet those of other vectors are u . e - u . m.
CREATE TABLE IF NOT EXISTS embedding.user_offsets (
  user_id  UUID PRIMARY KEY REFERENCES user_embeddings (user_id) ON DELETE CASCADE,
  mean_id  BIGINT NOT NULL REFERENCES embedding.means (id),
  centre   DOUBLE PRECISION NOT NULL
);

-- A user's several interests, strongest first; `medoid` is the post nearest to each. Where there is but one, its
-- `embedding` is NULL: the user's own vector, in user_embeddings.
CREATE TABLE IF NOT EXISTS embedding.user_interests (
  user_id   UUID NOT NULL REFERENCES user_embeddings (user_id) ON DELETE CASCADE,
  place     INTEGER NOT NULL CHECK (place >= 0),
  share     DOUBLE PRECISION NOT NULL CHECK (share > 0 AND share <= 1),
  medoid    UUID NOT NULL,
  centre    DOUBLE PRECISION NOT NULL,
  embedding vector(384),
  PRIMARY KEY (user_id, place)
);
ALTER TABLE embedding.user_interests ALTER COLUMN embedding DROP NOT NULL;

-- What EMBEDDING_SHADOW would make, beside the live vectors; `similarity` is the cosine to the live one.
CREATE TABLE IF NOT EXISTS embedding.shadow_vectors (
  user_id       UUID PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  embedding     vector(384) NOT NULL,
  model_version TEXT NOT NULL,
  generated_at  TIMESTAMPTZ NOT NULL,
  similarity    DOUBLE PRECISION
);

-- Which scheme an experiment gave a user, and since when the user has had a vector of it.
CREATE TABLE IF NOT EXISTS embedding.exposures (
  experiment TEXT NOT NULL,
  user_id    UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  scheme     TEXT NOT NULL,
  since      TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (experiment, user_id)
);
CREATE INDEX IF NOT EXISTS exposures_user ON embedding.exposures (user_id);

-- How popular each post is, in a number whose order stays right as time passes: log2 of the sum over what was done to it
-- of weight * 2^(t / half-life), t in days since 2000. Popularity at t is 2^(heat - t / half-life).
CREATE TABLE IF NOT EXISTS embedding.post_popularity (
  post_id UUID PRIMARY KEY,
  heat    DOUBLE PRECISION NOT NULL
);
CREATE INDEX IF NOT EXISTS post_popularity_heat ON embedding.post_popularity (heat DESC, post_id);

-- Until when the log is in it, and by which half-life (days); one row.
CREATE TABLE IF NOT EXISTS embedding.popularity_state (
  one           BOOLEAN PRIMARY KEY DEFAULT true CHECK (one),
  half_life     DOUBLE PRECISION NOT NULL CHECK (half_life > 0),
  counted_until TIMESTAMPTZ NOT NULL
);

-- How far a rebuild has come in making everyone due.
CREATE TABLE IF NOT EXISTS embedding.rebuilds (
  id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  started_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
  last_user   UUID,
  users       BIGINT NOT NULL DEFAULT 0,
  finished_at TIMESTAMPTZ
);

-- Who asked to be forgotten: what they did up to then never counts again, nor what was logged until then with a time
-- to come, which `ahead` holds. Who opted out gets no vector at all. No foreign key: it must outlive the user.
CREATE TABLE IF NOT EXISTS embedding.erasures (
  user_id   UUID PRIMARY KEY,
  erased_at TIMESTAMPTZ NOT NULL,
  ahead     TIMESTAMPTZ[] NOT NULL,
  opted_out BOOLEAN NOT NULL
);

-- An earlier version kept the log's last id instead.
DO $$
BEGIN
  IF EXISTS (
    SELECT FROM pg_attribute
    WHERE attrelid = 'embedding.erasures'::REGCLASS AND attname = 'last_action' AND NOT attisdropped
  ) THEN
    ALTER TABLE embedding.erasures ADD COLUMN ahead TIMESTAMPTZ[];
    UPDATE embedding.erasures SET ahead = ARRAY(
      SELECT created_at
      FROM action_log
      WHERE action_log.user_id = erasures.user_id AND created_at > erased_at AND action_log.id <= last_action
    );
    ALTER TABLE embedding.erasures ALTER COLUMN ahead SET NOT NULL, DROP COLUMN last_action;
  END IF;
END
$$;

-- Those of the users of whom nothing may be written that was read when their erasure was as `seen`. It waits for an
-- erasure under way, and erasures wait until the transaction that asked has ended: nothing slips in between. Times do
-- not tell: what was read after the erasure's own time may not have seen it yet.
CREATE OR REPLACE FUNCTION embedding.withheld(users UUID[], seen TIMESTAMPTZ[]) RETURNS UUID[]
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(hashtextextended('user-embeddings erasure', 0));
  RETURN ARRAY(
    SELECT erasures.user_id
    FROM unnest(users, seen) AS read (user_id, erased_at)
    JOIN embedding.erasures ON erasures.user_id = read.user_id
    WHERE opted_out OR erasures.erased_at IS DISTINCT FROM read.erased_at
  );
END
$$;

-- What users were shown: one row for each answer, which `arm`, a vector's model_version, was ranked with. Without a
-- user_id it was shown to somebody who was erased since, and stays so that a repeat brings nothing back.
CREATE TABLE IF NOT EXISTS embedding.showings (
  rec_id   UUID PRIMARY KEY,
  user_id  UUID REFERENCES users (id) ON DELETE CASCADE,
  arm      TEXT,
  shown_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX IF NOT EXISTS showings_user ON embedding.showings (user_id);
CREATE INDEX IF NOT EXISTS showings_shown ON embedding.showings (shown_at);

-- The posts of a showing, what each scored, and of a place given at random how likely it was to get this post.
CREATE TABLE IF NOT EXISTS embedding.impressions (
  rec_id     UUID NOT NULL REFERENCES embedding.showings (rec_id) ON DELETE CASCADE,
  post_id    UUID NOT NULL,
  position   INTEGER NOT NULL CHECK (position >= 0),
  score      DOUBLE PRECISION,
  similarity DOUBLE PRECISION,
  freshness  DOUBLE PRECISION,
  popularity DOUBLE PRECISION,
  propensity DOUBLE PRECISION CHECK (propensity > 0 AND propensity <= 1),
  PRIMARY KEY (rec_id, post_id)
);

-- What was done with a post from there, the first time each.
CREATE TABLE IF NOT EXISTS embedding.responses (
  rec_id      UUID NOT NULL,
  post_id     UUID NOT NULL,
  action_type TEXT NOT NULL,
  acted_at    TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (rec_id, post_id, action_type),
  FOREIGN KEY (rec_id, post_id) REFERENCES embedding.impressions (rec_id, post_id) ON DELETE CASCADE
);

-- Actions that came with an id of their own, so that none is logged twice. Without a user_id it was of somebody who was
-- erased since: the digest of the id alone stays, so that a repeat brings nothing back.
CREATE TABLE IF NOT EXISTS embedding.events (
  digest   BYTEA PRIMARY KEY,
  event_id TEXT,
  user_id  UUID REFERENCES users (id) ON DELETE CASCADE,
  came_at  TIMESTAMPTZ NOT NULL
);
CREATE INDEX IF NOT EXISTS events_user ON embedding.events (user_id);
CREATE INDEX IF NOT EXISTS events_came ON embedding.events (came_at);

-- Whether what this user is shown may be kept. It waits for an erasure under way, and erasures wait until the
-- transaction that asked has ended. A function lives for five minutes: by then all has come that it showed before.
CREATE OR REPLACE FUNCTION embedding.may_show(shown_to UUID) RETURNS BOOLEAN
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(hashtextextended('user-embeddings erasure', 0));
  RETURN NOT EXISTS (
    SELECT FROM embedding.erasures
    WHERE user_id = shown_to AND (opted_out OR erased_at > clock_timestamp() - INTERVAL '5 minutes')
  );
END
$$;

-- Whoever's vector goes, with the user or alone, is in the next run, which deletes the key in Redis.
CREATE OR REPLACE FUNCTION embedding.note_removed() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  INSERT INTO embedding.due (user_id, reason) SELECT user_id, 'removed' FROM gone ON CONFLICT DO NOTHING;
  RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER note_removed AFTER DELETE ON user_embeddings
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION embedding.note_removed();

-- Users become due in the platform's transactions as well as in ours. So each row is of the transaction that noted it:
-- none waits for another, and a plan takes what was committed before it and leaves what is noted meanwhile. With one
-- row for all, whoever finds it there notes nothing, and the plan may take it before what it stands for is committed.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'embedding.due'::REGCLASS AND attname = 'noted_by') THEN
    ALTER TABLE embedding.due
      ADD COLUMN noted_by BIGINT NOT NULL DEFAULT txid_current(),
      DROP CONSTRAINT due_pkey,
      ADD PRIMARY KEY (user_id, reason, noted_by);
  END IF;
END
$$;

-- How many of the users a rebuild has looked at it made due.
ALTER TABLE embedding.rebuilds ADD COLUMN IF NOT EXISTS due BIGINT NOT NULL DEFAULT 0;

CREATE OR REPLACE FUNCTION embedding.note_due(users UUID[], why TEXT) RETURNS BIGINT
LANGUAGE sql VOLATILE SET search_path = pg_catalog AS $$
  WITH noted AS (
    INSERT INTO embedding.due (user_id, reason)
    SELECT DISTINCT named, why FROM unnest(users) AS named WHERE named IS NOT NULL
    ON CONFLICT DO NOTHING
    RETURNING user_id
  )
  SELECT count(*) FROM noted
$$;

-- What the platform reports, in the transaction that does it: each makes users due and returns how many. They run with
-- the rights of whoever applies this file; a role of the platform's needs USAGE on this schema and EXECUTE on them.
CREATE OR REPLACE FUNCTION embedding.report_deleted_actions(users UUID[]) RETURNS BIGINT
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT embedding.note_due(users, 'deleted_action')
$$;

CREATE OR REPLACE FUNCTION embedding.report_late_actions(users UUID[]) RETURNS BIGINT
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT embedding.note_due(users, 'late_action')
$$;

-- Finds who acted on the posts, so the log must still say so. It reads the whole log, unless there is an index on
-- (post_id, user_id): see db/triggers.sql for what either costs.
DO $$
DECLARE
  log TEXT := (
    SELECT format('%I.%I', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = 'action_log'::REGCLASS
  );
BEGIN
  EXECUTE format(
    $definition$
      CREATE OR REPLACE FUNCTION embedding.report_deleted_posts(posts UUID[]) RETURNS BIGINT
      LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $body$
        SELECT embedding.note_due(
          ARRAY(SELECT DISTINCT user_id FROM %s WHERE post_id = ANY (posts)), 'deleted_post'
        )
      $body$
    $definition$,
    log
  );
END
$$;

-- On Supabase whatever lies in `public` is served to browsers, under the roles anon and authenticated.
REVOKE ALL ON SCHEMA embedding FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA embedding FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA embedding FROM PUBLIC;
REVOKE ALL ON user_embeddings FROM PUBLIC;
DO $$
DECLARE
  browser TEXT;
BEGIN
  FOR browser IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
    EXECUTE format('REVOKE ALL ON user_embeddings FROM %I', browser);
    EXECUTE format('REVOKE ALL ON SCHEMA embedding FROM %I', browser);
    EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA embedding FROM %I', browser);
  END LOOP;
END
$$;

COMMIT;
