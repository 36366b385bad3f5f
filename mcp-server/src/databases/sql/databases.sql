-- The databases that the role may connect to. PostgreSQL's own, which comes with every cluster, only where it is asked by name.
SELECT d.datname::text
FROM pg_catalog.pg_database AS d
WHERE d.datallowconn AND NOT d.datistemplate AND pg_catalog.has_database_privilege(d.oid, 'CONNECT')
  AND (d.datname <> 'postgres' OR d.datname = pg_catalog.current_database())
ORDER BY d.datname
