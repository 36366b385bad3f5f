-- The values of text columns that the planner knows all or the most frequent of, where there are at most $1 of them. The view shows
-- only columns that the role may read, of tables without row-level security.
SELECT s.schemaname AS schema_name, s.tablename AS table_name, s.attname AS column_name,
       s.most_common_vals::text::text[] AS frequent, s.histogram_bounds::text::text[] AS others
FROM pg_catalog.pg_stats AS s
JOIN pg_catalog.pg_namespace AS n ON n.nspname = s.schemaname
JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = s.tablename
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attname = s.attname
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
-- Of a parent, what holds for its children too.
WHERE s.inherited = (c.relkind = 'p' OR c.relhassubclass) AND t.typcategory = 'S' AND NOT c.relrowsecurity
  AND s.n_distinct <> 0
  -- Below 0 it is a share of the rows.
  AND CASE WHEN s.n_distinct > 0 THEN s.n_distinct ELSE -s.n_distinct * c.reltuples END <= $1
