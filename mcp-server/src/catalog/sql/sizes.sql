-- The bytes on disk of the tables $2 in the schemas $1, with their indexes and partitions. One that somebody has locked is left out
-- rather than waited for, and one with row-level security because its size tells of rows that not everybody may see.
WITH measured AS MATERIALIZED ( -- Else some would be measured before they are left out.
    SELECT c.oid, n.nspname, c.relname, c.relkind
    FROM unnest($1::text[], $2::text[]) AS wanted(schema_name, table_name)
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = wanted.schema_name
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = wanted.table_name
    WHERE c.relkind IN ('r', 'm', 'p') AND NOT c.relrowsecurity AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_locks AS l
        WHERE l.locktype = 'relation' AND l.relation = c.oid AND l.mode = 'AccessExclusiveLock'
    )
), sizes AS MATERIALIZED (
    SELECT nspname, relname, CASE WHEN relkind = 'p' THEN (
        SELECT pg_catalog.sum(pg_catalog.pg_total_relation_size(part.relid))::bigint FROM pg_catalog.pg_partition_tree(oid) AS part
    ) ELSE pg_catalog.pg_total_relation_size(oid) END AS bytes
    FROM measured
)
SELECT nspname AS schema_name, relname AS table_name, bytes, pg_catalog.pg_size_pretty(bytes) AS pretty
FROM sizes
