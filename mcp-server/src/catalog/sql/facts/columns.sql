-- The columns of the relations $1 in order, also those that the role may not read: they have a place in the row.
SELECT a.attrelid AS relation, a.attname AS name, a.atttypid AS type,
       pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS is_readable,
       pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS generated_from
FROM pg_catalog.pg_attribute AS a
LEFT JOIN pg_catalog.pg_attrdef AS d ON a.attgenerated <> '' AND d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
