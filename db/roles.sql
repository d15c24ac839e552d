-- What the functions may do, and nothing else, as two roles that nobody logs in as: `user_embeddings` makes and serves
-- vectors, `user_embeddings_log` also adds to the platform's log. After db/schema.sql, by whoever owns the tables, with
-- DIRECT_URL; safe to apply again, which also takes back what an earlier version gave:
--   psql "$DIRECT_URL" -v ON_ERROR_STOP=1 -f db/roles.sql
-- To go back, once no login is in them:
--   DROP OWNED BY user_embeddings_log, user_embeddings;
--   DROP ROLE user_embeddings_log, user_embeddings;

BEGIN;

-- Roles are the server's: another database of it may have them already.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'user_embeddings') THEN
    CREATE ROLE user_embeddings NOLOGIN;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'user_embeddings_log') THEN
    CREATE ROLE user_embeddings_log NOLOGIN IN ROLE user_embeddings;
  END IF;
END
$$;

COMMIT;

-- The platform's tables, and what its views read: a view WITH (security_invoker) asks for the reader's rights on it.
-- Of those that hold the log, `logs` says so: what an INSERT goes to, and so takes its defaults from.
CREATE TEMPORARY TABLE platform_relations AS
WITH RECURSIVE found AS (
  SELECT name::REGCLASS AS relation, name = 'action_log' AS logs, true AS asks
  FROM unnest(ARRAY['users', 'posts', 'post_embeddings', 'action_log']) AS name
  UNION
  SELECT
    under.relation,
    found.logs AND under.number = 1,
    found.asks AND coalesce(
      (SELECT option_value::BOOLEAN FROM pg_options_to_table(reloptions) WHERE option_name = 'security_invoker'),
      false
    )
  FROM found
  JOIN pg_class ON pg_class.oid = found.relation AND relkind = 'v'
  CROSS JOIN LATERAL (
    SELECT refobjid::REGCLASS AS relation, count(*) OVER () AS number
    FROM pg_rewrite
    JOIN pg_depend ON classid = 'pg_rewrite'::REGCLASS AND objid = pg_rewrite.oid
    WHERE ev_class = found.relation AND refclassid = 'pg_class'::REGCLASS AND refobjid <> ev_class
    GROUP BY refobjid
  ) AS under
)
SELECT
  found.relation,
  bool_or(found.logs) AS logs,
  bool_or(found.asks) AS asks,
  pg_class.relnamespace::REGNAMESPACE AS schema,
  pg_class.relkind IN ('r', 'p') AS is_table
FROM found
JOIN pg_class ON pg_class.oid = found.relation
GROUP BY found.relation, pg_class.relnamespace, pg_class.relkind;

-- With row security a role that no policy names sees an empty table: users who seem gone would lose their vectors. So
-- the policies are there before it is switched on, and before the rights are. Each by itself, so that no transaction
-- keeps others from two tables.
SET lock_timeout = '5s';
DO $$
DECLARE
  wanted RECORD;
BEGIN
  FOR wanted IN
    SELECT relation, 'user_embeddings' AS role, 'FOR SELECT TO user_embeddings USING (true)' AS rule
    FROM platform_relations WHERE asks AND is_table
    UNION ALL
    SELECT relation, 'user_embeddings_log', 'FOR INSERT TO user_embeddings_log WITH CHECK (true)'
    FROM platform_relations WHERE asks AND is_table AND logs
    UNION ALL
    SELECT 'user_embeddings'::REGCLASS, 'user_embeddings', 'TO user_embeddings USING (true)'
  LOOP
    IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = wanted.relation AND polname = wanted.role) THEN
      EXECUTE format('CREATE POLICY %I ON %s %s', wanted.role, wanted.relation, wanted.rule);
      COMMIT;
    END IF;
  END LOOP;
END
$$;

BEGIN;

REVOKE ALL ON user_embeddings FROM user_embeddings, user_embeddings_log;
REVOKE ALL ON ALL TABLES IN SCHEMA embedding FROM user_embeddings, user_embeddings_log;
REVOKE ALL ON SEQUENCE embedding.means_id_seq FROM user_embeddings, user_embeddings_log;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA embedding FROM user_embeddings, user_embeddings_log;

GRANT USAGE ON SCHEMA embedding TO user_embeddings;
GRANT SELECT, INSERT, UPDATE, DELETE ON
  user_embeddings, embedding.events, embedding.failures, embedding.post_popularity, embedding.rebuilds, embedding.runs,
  embedding.shadow_vectors, embedding.showings, embedding.user_offsets
TO user_embeddings;
GRANT SELECT, INSERT, UPDATE ON
  embedding.erasures, embedding.failed_pages, embedding.mean_checks, embedding.popularity_state, embedding.run_counts,
  embedding.run_figures, embedding.totals
TO user_embeddings;
GRANT SELECT, INSERT, DELETE ON
  embedding.due, embedding.exposures, embedding.impressions, embedding.run_users, embedding.user_interests
TO user_embeddings;
GRANT SELECT, INSERT ON embedding.means, embedding.responses TO user_embeddings;
-- A restore brings means back with their numbers, and has new ones go on behind them.
GRANT UPDATE ON SEQUENCE embedding.means_id_seq TO user_embeddings;
GRANT EXECUTE ON FUNCTION
  embedding.withheld(UUID[], TIMESTAMPTZ[]), embedding.may_show(UUID), embedding.report_deleted_posts(UUID[]),
  embedding.report_deleted_actions(UUID[]), embedding.report_late_actions(UUID[])
TO user_embeddings;

-- Where db/similar.sql was applied; applied later, it grants the same.
DO $$
BEGIN
  IF to_regclass('embedding.user_neighbours') IS NOT NULL THEN
    GRANT SELECT, INSERT, UPDATE, DELETE ON embedding.user_neighbours TO user_embeddings;
    GRANT SELECT, DELETE ON embedding.neighbours_due TO user_embeddings;
  END IF;
END
$$;

DO $$
DECLARE
  found RECORD;
BEGIN
  FOR found IN SELECT * FROM platform_relations WHERE asks LOOP
    EXECUTE format('GRANT SELECT ON %s TO user_embeddings', found.relation);
    IF found.logs THEN
      EXECUTE format('GRANT INSERT ON %s TO user_embeddings_log', found.relation);
    END IF;
  END LOOP;

  -- A column that is not an identity may take its numbers from a sequence.
  FOR found IN
    SELECT DISTINCT sequence.oid::REGCLASS AS sequence
    FROM platform_relations
    JOIN pg_attrdef ON adrelid = relation
    JOIN pg_depend ON classid = 'pg_attrdef'::REGCLASS AND objid = pg_attrdef.oid
    JOIN pg_class AS sequence ON refclassid = 'pg_class'::REGCLASS AND refobjid = sequence.oid AND relkind = 'S'
    WHERE logs
  LOOP
    EXECUTE format('GRANT USAGE ON SEQUENCE %s TO user_embeddings_log', found.sequence);
  END LOOP;

  -- What everybody may use need not be given, and on some platforms cannot be.
  FOR found IN
    SELECT schema FROM platform_relations WHERE asks
    UNION SELECT relnamespace::REGNAMESPACE FROM pg_class WHERE oid = 'user_embeddings'::REGCLASS
    UNION SELECT extnamespace::REGNAMESPACE FROM pg_extension WHERE extname = 'vector'
  LOOP
    IF NOT has_schema_privilege('user_embeddings', found.schema, 'USAGE') THEN
      EXECUTE format('GRANT USAGE ON SCHEMA %s TO user_embeddings', found.schema);
    END IF;
  END LOOP;
END
$$;

DROP TABLE platform_relations;

COMMIT;
