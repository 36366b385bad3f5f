-- Statements that a function prepared under a name.
EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql)
-- Languages and extensions with a memory of their own: variables, connections to elsewhere.
OR EXISTS (SELECT FROM pg_catalog.pg_language WHERE lanname NOT IN ('internal', 'c', 'sql', 'plpgsql'))
OR EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname IN ('dblink', 'pg_variables'))
-- What a superuser's function can do has no bounds: loaded libraries, a replication origin.
OR pg_catalog.current_setting('is_superuser') = 'on'
