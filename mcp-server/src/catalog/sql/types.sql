-- The names of every type, for columns[]: pg_type's own, and the one that SQL is written with.
SELECT t.oid, t.typname, pg_catalog.format_type(t.oid, NULL) AS written FROM pg_catalog.pg_type AS t
