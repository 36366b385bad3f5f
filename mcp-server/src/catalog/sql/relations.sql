-- Every relation, with its parents and what stands behind a view. Those that the role may not read come too: rules about them hold
-- for what is read through others. So do partitions: statements may name them, though listings don't.
SELECT c.oid, n.nspname AS schema_name, c.relname AS table_name, c.relkind::text AS kind, c.relispartition AS is_partition,
       -- Never analysed is -1 from PostgreSQL 14 on. Under row-level security the number tells of rows that not everybody may see.
       CASE WHEN c.relkind IN ('r', 'm', 'p', 'f') AND c.reltuples >= 0 AND NOT c.relrowsecurity THEN c.reltuples::bigint END AS estimated_row_count,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE')
           AND (pg_catalog.has_table_privilege(c.oid, 'SELECT') OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT')) AS is_readable,
       pg_catalog.has_table_privilege(c.oid, 'SELECT') AS is_whole,
       EXISTS (
           SELECT FROM pg_catalog.pg_depend AS d
           WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'
       ) AS is_extensions,
       c.relrowsecurity AS has_row_security,
       ARRAY(SELECT i.inhparent FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = c.oid ORDER BY i.inhseqno) AS parents,
       -- Bounds are of the type below a domain.
       ARRAY(
           SELECT COALESCE(NULLIF(t.typbasetype, 0), t.oid)
           FROM pg_catalog.pg_partitioned_table AS p
           JOIN pg_catalog.pg_attribute AS a ON a.attrelid = p.partrelid AND a.attnum = ANY (p.partattrs::int2[])
           JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
           WHERE p.partrelid = c.oid
       )::oid[] AS key_types,
       CASE WHEN c.relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(c.oid) END AS definition
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f')
  AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
ORDER BY n.nspname, c.relname
