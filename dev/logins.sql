-- Whom the functions log in as here, as the README has a deployment make it.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'functions') THEN
    CREATE ROLE functions LOGIN IN ROLE user_embeddings_log;
  END IF;
END
$$;
