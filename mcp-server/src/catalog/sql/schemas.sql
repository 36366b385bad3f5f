-- Extra: the schemas that the role may look into, PostgreSQL's own with the number of their tables and views. Nobody lists what is
-- temporary.
SELECT n.nspname AS name, pg_catalog.pg_get_userbyid(n.nspowner)::text AS owner, pg_catalog.obj_description(n.oid, 'pg_namespace') AS description,
       n.nspname LIKE 'pg\_%' OR n.nspname = 'information_schema' AS is_system,
       CASE WHEN n.nspname LIKE 'pg\_%' OR n.nspname = 'information_schema' THEN (
           SELECT count(*) FROM pg_catalog.pg_class AS c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
       ) ELSE 0 END AS system_tables
FROM pg_catalog.pg_namespace AS n
WHERE pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND n.nspname NOT LIKE 'pg\_temp\_%' AND n.nspname NOT LIKE 'pg\_toast%'
