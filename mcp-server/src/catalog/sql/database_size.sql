-- The size of the whole database on disk.
SELECT size.bytes, pg_catalog.pg_size_pretty(size.bytes) AS pretty
FROM (SELECT pg_catalog.pg_database_size(pg_catalog.current_database()) AS bytes) AS size
