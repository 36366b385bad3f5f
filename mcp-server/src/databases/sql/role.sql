-- What the role could do beyond reading, one row a finding: safety.md, wall 3.
WITH me AS (
    SELECT r.* FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user
),
relations AS (
    SELECT c.oid, n.nspname || '.' || c.relname AS name, c.relowner
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
      AND n.nspname NOT LIKE 'pg\_temp%' AND n.nspname NOT LIKE 'pg\_toast%'
),
writable AS (
    SELECT name FROM relations
    WHERE pg_catalog.has_table_privilege(oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
       OR pg_catalog.has_any_column_privilege(oid, 'INSERT, UPDATE')
),
owned AS (
    SELECT name FROM relations WHERE pg_catalog.pg_has_role(relowner, 'USAGE')
),
creatable AS (
    SELECT nspname AS name FROM pg_catalog.pg_namespace
    WHERE nspname NOT LIKE 'pg\_%' AND pg_catalog.has_schema_privilege(oid, 'CREATE')
),
-- Named in wall 3; PUBLIC may execute them unless somebody revoked it. The guard refuses them whatever the role.
dangerous AS (
    SELECT DISTINCT p.proname AS name FROM pg_catalog.pg_proc AS p
    WHERE p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
      AND p.proname IN ('lo_create', 'lo_import', 'lo_export', 'set_config', 'pg_sleep', 'pg_notify', 'pg_read_file', 'pg_ls_dir',
                        'pg_terminate_backend', 'pg_cancel_backend', 'pg_advisory_lock')
      AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')
)
SELECT 'refused' AS grade, 'is a superuser' AS finding FROM me WHERE rolsuper
UNION ALL SELECT 'refused', 'bypasses row-level security (BYPASSRLS)' FROM me WHERE rolbypassrls
UNION ALL SELECT 'refused', 'may replicate (REPLICATION)' FROM me WHERE rolreplication
UNION ALL SELECT 'refused', 'may create databases (CREATEDB)' FROM me WHERE rolcreatedb
UNION ALL SELECT 'refused', 'may create roles (CREATEROLE)' FROM me WHERE rolcreaterole
UNION ALL
SELECT 'refused', 'is a member of ' || r.rolname
FROM pg_catalog.pg_roles AS r, me
WHERE NOT me.rolsuper
  AND r.rolname IN ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program', 'pg_write_all_data')
  AND pg_catalog.pg_has_role(r.oid, 'MEMBER')
UNION ALL
SELECT 'refused', 'may write to ' || count(*) || ' relation(s), among them ' || min(name)
FROM writable, me WHERE NOT me.rolsuper HAVING count(*) > 0
UNION ALL
SELECT 'refused', 'owns ' || count(*) || ' relation(s), among them ' || min(name)
FROM owned, me WHERE NOT me.rolsuper HAVING count(*) > 0
UNION ALL
SELECT 'warned', 'may create objects in schema(s) ' || pg_catalog.string_agg(name, ', ' ORDER BY name) FROM creatable HAVING count(*) > 0
UNION ALL
SELECT 'warned', 'may create temporary tables (TEMP)'
WHERE pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMP')
UNION ALL
SELECT 'warned', 'may execute ' || pg_catalog.string_agg(name, ', ' ORDER BY name) || ' (the guard refuses them)' FROM dangerous HAVING count(*) > 0
