-- The indexes of the relations $1. Columns go by number, since their names are known already; an expression has the number 0.
-- PostgreSQL is asked for the whole statement, which takes it long, only where there is more to an index than its columns and its
-- condition.
SELECT i.indrelid AS relation, i.indexrelid AS oid, c.relname AS name, i.indisunique AS is_unique, i.indisprimary AS is_primary,
       am.amname AS index_type, i.indnkeyatts::int4 AS key_count, -- These arrays begin at 0, and slices of them at 1.
       (i.indkey::int2[])[0:] AS keys, (i.indcollation::oid[])[0:] AS collations,
       i.indisunique AND i.indnkeyatts = 1 AND i.indimmediate AND i.indisvalid AND i.indexprs IS NULL AND i.indpred IS NULL AS is_unique_alone,
       CASE WHEN i.indexprs IS NOT NULL THEN ARRAY(
           SELECT pg_catalog.pg_get_indexdef(i.indexrelid, place, true)
           FROM pg_catalog.generate_series(1, i.indnkeyatts) AS place WHERE i.indkey[place - 1] = 0 ORDER BY place
       ) END AS expressions,
       pg_catalog.pg_get_expr(i.indpred, i.indrelid, true) AS predicate,
       CASE WHEN i.indnatts > i.indnkeyatts OR i.nulls_not_distinct
                 -- Any but none and the database's own.
                 OR NOT i.indcollation::oid[] <@ ARRAY[0, 100]::oid[]
                 OR c.reloptions IS NOT NULL OR c.relkind = 'I' OR 0 <> ANY (i.indoption::int2[])
                 OR i.indclass::oid[] && ARRAY(SELECT oid FROM pg_catalog.pg_opclass WHERE NOT opcdefault)
            THEN pg_catalog.pg_get_indexdef(i.indexrelid)
       END AS definition
-- PostgreSQL 14 has no such column; then the name means this one.
FROM (SELECT false AS indnullsnotdistinct) AS before_15
CROSS JOIN LATERAL (
    SELECT i.*, indnullsnotdistinct AS nulls_not_distinct FROM pg_catalog.pg_index AS i WHERE i.indrelid = ANY ($1) AND i.indislive
) AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am AS am ON am.oid = c.relam
ORDER BY i.indrelid, c.relname
