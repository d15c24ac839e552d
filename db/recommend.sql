-- Opt-in: indexes on the platform's tables for recommendations. Everything works without them, slower: every answer
-- then looks at every post. After db/schema.sql, on tables, not on views:
--   psql "$DIRECT_URL" -v ON_ERROR_STOP=1 -c "SET statement_timeout = 0" -f db/recommend.sql
-- Built CONCURRENTLY, each by itself, outside a transaction. An interrupted build leaves an INVALID index behind: drop it
-- by name, then run this file again.

-- The newest posts. Measured: 41 bytes a post.
CREATE INDEX CONCURRENTLY IF NOT EXISTS posts_created ON posts (created_at DESC, id);

-- The posts nearest to a vector, in lists of some 300 that are near to each other. Measured: 1,660 bytes a post, so
-- 100,000 take 166 MB; building them took 3 s. The lists are those of the posts there are when it is built: build it once
-- the posts are there, and when there are several times as many drop it and run this file again.
-- Why not HNSW: a vector that lies between several topics is near to posts of each, and a walk from neighbour to
-- neighbour stays in one. Among 100,000 posts it found 73 to 93 % of the 20 nearest to users of several topics, these lists
-- all of them, in no more time (bench/RECOMMEND.md). Where there is an HNSW index for inner products already, it is used.
DO $$
BEGIN
  PERFORM set_config('search_path', concat_ws(', ', current_setting('search_path'), quote_ident(n.nspname)), false)
  FROM pg_extension e
  JOIN pg_namespace n ON n.oid = e.extnamespace
  WHERE e.extname = 'vector';
END
$$;
SELECT least(greatest(count(*) / 300, 1), 1000) AS lists FROM post_embeddings \gset
CREATE INDEX CONCURRENTLY IF NOT EXISTS post_embeddings_nearest
  ON post_embeddings USING ivfflat (embedding vector_ip_ops) WITH (lists = :lists);
