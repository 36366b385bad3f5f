-- The indexes of the relations $1.
SELECT i.indrelid AS relation, c.relname AS name, i.indisunique AS is_unique, i.indisprimary AS is_primary, am.amname AS index_type,
       ARRAY(
           SELECT pg_catalog.pg_get_indexdef(i.indexrelid, place, true)
           FROM pg_catalog.generate_series(1, i.indnkeyatts) AS place ORDER BY place
       ) AS columns,
       pg_catalog.pg_get_expr(i.indpred, i.indrelid, true) AS predicate,
       pg_catalog.pg_get_indexdef(i.indexrelid) AS definition
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am AS am ON am.oid = c.relam
WHERE i.indrelid = ANY ($1) AND i.indislive
ORDER BY i.indrelid, c.relname
