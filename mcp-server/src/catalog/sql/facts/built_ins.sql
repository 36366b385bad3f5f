-- The names of PostgreSQL's own functions among $1.
SELECT p.oid, p.proname AS name
FROM pg_catalog.pg_proc AS p
WHERE p.oid = ANY ($1) AND p.oid < 16384 AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
