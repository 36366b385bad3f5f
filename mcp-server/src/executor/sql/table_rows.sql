-- About how many rows a table has, reckoned as the planner does: its present size times the rows that ANALYZE found on a page; where it
-- was never analysed, as many as rows of its columns' usual width fit there. Row-level security doesn't make it smaller.
SELECT (
    pg_catalog.pg_relation_size(c.oid) / block.bytes
    * CASE
        WHEN c.reltuples > 0 AND c.relpages > 0 THEN c.reltuples::float8 / c.relpages
        ELSE (block.bytes - 24) / (28 + width.bytes)::float8
    END
)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN (SELECT pg_catalog.current_setting('block_size')::int8 AS bytes) AS block
CROSS JOIN LATERAL (
    SELECT coalesce(pg_catalog.sum(CASE WHEN a.attlen > 0 THEN a.attlen ELSE 32 END), 0) AS bytes
    FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
) AS width
WHERE n.nspname = $1 AND c.relname = $2
