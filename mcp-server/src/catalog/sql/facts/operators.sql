-- Every operator that did not come with PostgreSQL itself, and what it runs.
SELECT n.nspname AS schema, o.oprname AS name, o.oprcode::oid AS function
FROM pg_catalog.pg_operator AS o
JOIN pg_catalog.pg_namespace AS n ON n.oid = o.oprnamespace
WHERE (o.oid >= 16384 OR n.nspname <> 'pg_catalog') AND o.oprcode <> 0
