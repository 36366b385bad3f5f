-- The columns of the relations $1 in order, also those that the role may not read: they have a place in the row.
SELECT a.attrelid AS relation, a.attnum, a.attname AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS data_type,
       pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS is_readable,
       NOT (a.attnotnull OR t.typnotnull) AS is_nullable, a.attgenerated <> '' AS is_generated, a.attidentity <> '' AS is_identity,
       CASE WHEN a.attgenerated <> '' THEN (
           SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef AS d
           WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum
       ) END AS generated_from,
       CASE WHEN t.typtype = 'd' THEN t.typbasetype WHEN t.typtype = 'e' THEN t.oid END AS enum_type,
       CASE WHEN t.typtype = 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) END AS domain_base,
       t.oid AS type_oid
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
WHERE a.attrelid = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
