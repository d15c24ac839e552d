-- What Supabase does before anybody comes: whatever is made in `public` is for browsers.
DO $$
DECLARE
  browser TEXT;
BEGIN
  FOREACH browser IN ARRAY ARRAY['anon', 'authenticated'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = browser) THEN
      EXECUTE format('CREATE ROLE %I', browser);
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', browser);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO %I', browser);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON FUNCTIONS TO %I', browser);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO %I', browser);
  END LOOP;
END
$$;
