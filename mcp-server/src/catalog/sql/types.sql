-- The name of every type, for columns[].type.
SELECT t.oid, t.typname FROM pg_catalog.pg_type AS t
