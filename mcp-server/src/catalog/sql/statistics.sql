-- The text columns that were analysed, and of those with at most $1 different values the most frequent and the others, as far as the
-- planner knows them. The view shows only columns that the role may read, of tables without row-level security. A table that was
-- emptied has statistics still, of rows that are gone.
WITH analysed AS (
    SELECT s.schemaname, s.tablename, s.attname, s.most_common_vals, s.histogram_bounds,
           -- Below 0 it is a share of the rows, whose number tells nothing of a parent's children.
           CASE
               WHEN s.n_distinct > 0 THEN s.n_distinct
               WHEN c.reltuples > 0 AND (c.relkind = 'p' OR NOT c.relhassubclass) THEN -s.n_distinct * c.reltuples
           END <= $1 AS is_few
    FROM pg_catalog.pg_stats AS s
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = s.schemaname
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = s.tablename
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attname = s.attname
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    -- Of a parent, what holds for its children too.
    WHERE s.inherited = (c.relkind = 'p' OR c.relhassubclass) AND t.typcategory = 'S' AND s.n_distinct <> 0
      AND (c.reltuples > 0 OR c.relhassubclass) AND NOT c.relrowsecurity AND NOT c.relispartition
      AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
)
SELECT schemaname AS schema_name, tablename AS table_name, attname AS column_name,
       CASE WHEN is_few THEN most_common_vals::text::text[] END AS frequent,
       CASE WHEN is_few THEN histogram_bounds::text::text[] END AS others
FROM analysed
