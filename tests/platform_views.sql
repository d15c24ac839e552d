-- A platform whose tables are named otherwise, with pgvector where Supabase puts it.

CREATE SCHEMA extensions;
CREATE EXTENSION vector SCHEMA extensions;

CREATE TABLE users (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid()
);

CREATE TABLE content (
  content_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  author     UUID,
  headline   TEXT,
  section    TEXT,
  published  TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE content_vectors (
  content_id UUID PRIMARY KEY REFERENCES content (content_id) ON DELETE CASCADE,
  vec        extensions.vector(384),
  model      TEXT NOT NULL,
  changed    TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE events (
  event_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  actor    UUID NOT NULL,
  content  UUID NOT NULL,
  verb     TEXT NOT NULL,
  happened TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX ON events (actor, happened) INCLUDE (content, verb, event_id);
CREATE INDEX ON events (happened) INCLUDE (actor);

CREATE VIEW posts AS
SELECT content_id AS id, author AS author_id, headline AS title, section AS topic, published AS created_at
FROM content;

CREATE VIEW post_embeddings AS
SELECT content_id AS post_id, vec AS embedding, model AS model_version, changed AS updated_at
FROM content_vectors;

CREATE VIEW action_log AS
SELECT event_id AS id, actor AS user_id, content AS post_id, verb AS action_type, happened AS created_at
FROM events;
