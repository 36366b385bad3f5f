-- The columns of the relations $1 in order, also those that the role may not read: they have a place in the row. Of those where $2
-- says so it may read all.
SELECT a.attrelid AS relation, a.attnum, a.attname AS name, a.attcollation AS collation,
       r.is_whole OR pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS is_readable,
       NOT (a.attnotnull OR t.typnotnull) AS is_nullable, a.attgenerated <> '' AS is_generated, a.attidentity <> '' AS is_identity,
       CASE WHEN a.attgenerated <> '' THEN (
           SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef AS d
           WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum
       ) END AS generated_from,
       CASE WHEN t.typtype = 'd' THEN t.typbasetype WHEN t.typtype = 'e' THEN t.oid END AS enum_type,
       -- What the types are called is asked once for all columns that have them.
       t.oid AS type_oid, a.atttypmod AS type_modifier,
       CASE WHEN t.typtype = 'd' THEN t.typbasetype END AS base_oid, t.typtypmod AS base_modifier
FROM unnest($1, $2::boolean[]) AS r(oid, is_whole)
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
WHERE a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
