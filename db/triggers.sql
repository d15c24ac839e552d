-- Opt-in, on the platform's own tables: whatever deletes posts, or deletes, changes or adds late to the log, makes the
-- users concerned due, with no call by the application. After db/schema.sql, by whoever owns the tables, at any time
-- and again:
--   psql "$DIRECT_URL" -v ON_ERROR_STOP=1 -c "SET statement_timeout = 0" -f db/triggers.sql
-- For tables, not for views; the README says what becomes of those. TRUNCATE and dropped partitions note nobody.
--
-- A trigger is part of the platform's statement: if it fails, so does that, and neither is half done. It waits for no
-- other transaction and reads nothing but, for deleted posts, the log.

-- Who acted on a post. Without it each statement that deletes posts reads the whole log.
CREATE INDEX CONCURRENTLY IF NOT EXISTS action_log_post_user ON action_log (post_id, user_id);

-- Each trigger by itself, so that no transaction holds two tables; it waits so long for writers at most.
SET lock_timeout = '5s';

CREATE OR REPLACE FUNCTION embedding.note_deleted_posts() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  PERFORM embedding.report_deleted_posts(ARRAY(SELECT id FROM gone));
  RETURN NULL;
END
$$;

-- Only actions that may still count (LOOKBACK_DAYS): clearing out an old log takes nobody's vector.
CREATE OR REPLACE FUNCTION embedding.note_deleted_actions() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  PERFORM embedding.report_deleted_actions(
    ARRAY(SELECT DISTINCT user_id FROM gone WHERE created_at >= now() - interval '90 days')
  );
  RETURN NULL;
END
$$;

-- Half of WINDOW_OVERLAP_SECONDS for how late an action may be unnoticed, half for the transaction that adds it: a tick
-- between the two still finds it in its window.
CREATE OR REPLACE FUNCTION embedding.note_late_actions() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  IF EXISTS (SELECT FROM came WHERE created_at < now() - interval '900 seconds' / 2) THEN
    PERFORM embedding.report_late_actions(
      ARRAY(SELECT DISTINCT user_id FROM came WHERE created_at < now() - interval '900 seconds' / 2)
    );
  END IF;
  RETURN NULL;
END
$$;

-- A change takes one action away and adds another, perhaps somebody else's. Other columns of the platform's may change.
CREATE OR REPLACE FUNCTION embedding.note_changed_actions() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  PERFORM embedding.report_deleted_actions(ARRAY(
    SELECT user_id FROM (
      SELECT id, user_id, post_id, action_type, created_at FROM gone
      EXCEPT SELECT id, user_id, post_id, action_type, created_at FROM came
    ) AS changed
    WHERE created_at >= now() - interval '90 days'
  ));
  PERFORM embedding.report_late_actions(ARRAY(
    SELECT user_id FROM (
      SELECT id, user_id, post_id, action_type, created_at FROM came
      EXCEPT SELECT id, user_id, post_id, action_type, created_at FROM gone
    ) AS changed
  ));
  RETURN NULL;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA embedding FROM PUBLIC;

CREATE OR REPLACE TRIGGER embedding_deleted_posts AFTER DELETE ON posts
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION embedding.note_deleted_posts();

CREATE OR REPLACE TRIGGER embedding_deleted_actions AFTER DELETE ON action_log
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION embedding.note_deleted_actions();

CREATE OR REPLACE TRIGGER embedding_late_actions AFTER INSERT ON action_log
REFERENCING NEW TABLE AS came
FOR EACH STATEMENT EXECUTE FUNCTION embedding.note_late_actions();

CREATE OR REPLACE TRIGGER embedding_changed_actions AFTER UPDATE ON action_log
REFERENCING OLD TABLE AS gone NEW TABLE AS came
FOR EACH STATEMENT EXECUTE FUNCTION embedding.note_changed_actions();
