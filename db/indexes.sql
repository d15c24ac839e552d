-- Indexes on the platform's tables. Everything works without them, slower. Built CONCURRENTLY, so that the platform
-- goes on writing; each runs by itself, outside a transaction. An interrupted build leaves an INVALID index behind:
-- drop it by name, then run this file again.

-- One user's actions without touching the table. About 100 bytes an action: 10 million actions, 1 GB.
CREATE INDEX CONCURRENTLY IF NOT EXISTS action_log_user_created
  ON action_log (user_id, created_at) INCLUDE (post_id, action_type, id);

-- Who was active in a window. About 40 bytes an action: 10 million actions, 400 MB.
CREATE INDEX CONCURRENTLY IF NOT EXISTS action_log_created
  ON action_log (created_at) INCLUDE (user_id);
