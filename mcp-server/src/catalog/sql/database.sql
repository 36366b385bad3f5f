-- The database itself.
SELECT d.datname AS name, pg_catalog.current_setting('server_version') AS server_version, pg_catalog.current_setting('TimeZone') AS timezone,
       pg_catalog.current_setting('server_encoding') = 'UTF8' AS is_utf8,
       pg_catalog.shobj_description(d.oid, 'pg_database') AS description
FROM pg_catalog.pg_database AS d
WHERE d.datname = pg_catalog.current_database()
