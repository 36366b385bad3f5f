-- The constraints of the relations $1. Columns by number: their names are known already. NOT NULL, which PostgreSQL 18 has among
-- them, stands with the columns.
SELECT con.conrelid AS relation, con.conname AS name, con.contype::text AS kind, con.conkey::int2[] AS columns,
       pg_catalog.pg_get_constraintdef(con.oid) AS definition,
       con.confrelid AS referenced, con.confkey::int2[] AS referenced_columns,
       con.confupdtype::text AS on_update, con.confdeltype::text AS on_delete,
       con.is_temporal
-- Before PostgreSQL 18 there is no such column; then the name means this one.
FROM (SELECT false AS conperiod) AS before_18
CROSS JOIN LATERAL (
    SELECT con.*, conperiod AS is_temporal FROM pg_catalog.pg_constraint AS con
    WHERE con.conrelid = ANY ($1) AND con.contype IN ('p', 'f', 'u', 'c', 'x')
      -- A partitioned table's foreign keys come again for each partition.
      AND con.conparentid = 0
) AS con
ORDER BY con.conrelid, con.conname
