-- What the role could do beyond reading, one row a finding: safety.md, wall 3.
WITH me AS (
    SELECT r.oid, r.rolsuper FROM pg_catalog.pg_roles AS r WHERE r.rolname = session_user
),
-- The role itself, and every role that it is or can become by SET ROLE: a member that doesn't inherit counts, too. A superuser
-- would be a member of all.
mine AS (
    SELECT r.*, r.oid = me.oid AS is_me
    FROM pg_catalog.pg_roles AS r
    CROSS JOIN me
    WHERE r.oid = me.oid OR NOT me.rolsuper AND pg_catalog.pg_has_role(me.oid, r.oid, 'MEMBER')
),
-- Whose grants are the role's: theirs, and those to PUBLIC.
grantees AS (
    SELECT oid FROM mine UNION ALL SELECT 0
),
schemas AS (
    SELECT n.oid, n.nspname, n.nspowner, n.nspacl
    FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp%'
),
-- Tables, views, foreign tables and sequences of users.
relations AS (
    SELECT c.oid, c.relkind, c.relacl, s.nspname || '.' || c.relname AS name, c.relowner IN (SELECT oid FROM mine) AS is_owned
    FROM pg_catalog.pg_class AS c
    JOIN schemas AS s ON s.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
),
-- Rights on them, whole or by column.
rights AS (
    SELECT r.name, r.relkind, a.privilege_type
    FROM relations AS r
    CROSS JOIN pg_catalog.aclexplode(r.relacl) AS a
    JOIN grantees AS g ON g.oid = a.grantee
    UNION ALL
    SELECT r.name, r.relkind, a.privilege_type
    FROM relations AS r
    JOIN pg_catalog.pg_attribute AS t ON t.attrelid = r.oid
    CROSS JOIN pg_catalog.aclexplode(t.attacl) AS a
    JOIN grantees AS g ON g.oid = a.grantee
),
writable AS (
    SELECT DISTINCT name, relkind = 'S' AS is_sequence
    FROM rights
    WHERE CASE relkind WHEN 'S' THEN privilege_type IN ('USAGE', 'UPDATE')
                       ELSE privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE') END
),
-- Named in wall 3, with their kin: PUBLIC may execute most of them unless somebody revoked it. dblink's are an extension's.
dangerous AS (
    SELECT DISTINCT p.proname AS name
    FROM pg_catalog.pg_proc AS p
    WHERE (
              p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
              AND p.proname IN ('lo_create', 'lo_creat', 'lo_from_bytea', 'lo_put', 'lo_import', 'lo_export', 'set_config', 'pg_sleep',
                                'pg_notify', 'pg_read_file', 'pg_read_binary_file', 'pg_ls_dir', 'pg_terminate_backend',
                                'pg_cancel_backend', 'pg_advisory_lock', 'pg_logical_emit_message', 'pg_reload_conf')
              OR p.proname IN ('dblink', 'dblink_exec', 'dblink_connect', 'dblink_connect_u', 'dblink_send_query')
          )
      AND pg_catalog.has_function_privilege((SELECT oid FROM me), p.oid, 'EXECUTE')
),
-- Functions of users that run with their owner's rights, where the owner has others than the role.
definers AS (
    SELECT s.nspname || '.' || p.proname AS name
    FROM pg_catalog.pg_proc AS p
    JOIN schemas AS s ON s.oid = p.pronamespace
    WHERE p.prosecdef AND p.proowner NOT IN (SELECT oid FROM mine)
      AND pg_catalog.has_function_privilege((SELECT oid FROM me), p.oid, 'EXECUTE')
),
large_objects AS (
    SELECT l.oid
    FROM pg_catalog.pg_largeobject_metadata AS l
    WHERE l.lomowner IN (SELECT oid FROM mine)
       OR EXISTS (
              SELECT FROM pg_catalog.aclexplode(l.lomacl) AS a JOIN grantees AS g ON g.oid = a.grantee WHERE a.privilege_type = 'UPDATE'
          )
),
this_database AS (
    SELECT d.* FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()
),
-- Settings of the role or the database that would let a session write.
writing_settings AS (
    SELECT setting
    FROM pg_catalog.pg_db_role_setting AS s
    CROSS JOIN pg_catalog.unnest(s.setconfig) AS setting
    WHERE s.setdatabase IN (0, (SELECT oid FROM this_database)) AND s.setrole IN (0, (SELECT oid FROM me))
      AND pg_catalog.lower(setting) ~ '^(default_)?transaction_read_only=(off|false|no|0)$'
),
findings AS (
    -- Powers of a role. A superuser has all of them.
    SELECT 1 AS place, 'refused' AS grade,
           CASE WHEN m.is_me THEN power.text ELSE 'may become ' || m.rolname || ', which ' || power.text END AS finding
    FROM mine AS m
    CROSS JOIN LATERAL (
        VALUES
            (m.rolsuper, 'is a superuser'),
            (m.rolbypassrls AND NOT m.rolsuper, 'bypasses row-level security (BYPASSRLS)'),
            (m.rolreplication AND NOT m.rolsuper, 'may replicate (REPLICATION)'),
            (m.rolcreatedb AND NOT m.rolsuper, 'may create databases (CREATEDB)'),
            (m.rolcreaterole AND NOT m.rolsuper, 'may create roles (CREATEROLE)')
    ) AS power (holds, text)
    WHERE power.holds
    UNION ALL
    SELECT 2, 'refused', 'is a member of ' || rolname
    FROM mine
    WHERE rolname IN ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program', 'pg_write_all_data')
    UNION ALL
    SELECT 3, 'refused', 'may write to ' || pg_catalog.count(*) || ' relation(s), among them ' || pg_catalog.min(name)
    FROM writable
    WHERE NOT is_sequence
    HAVING pg_catalog.count(*) > 0
    UNION ALL
    SELECT 4, 'refused', 'owns ' || pg_catalog.count(*) || ' relation(s), among them ' || pg_catalog.min(name)
    FROM relations
    WHERE is_owned AND relkind <> 'S'
    HAVING pg_catalog.count(*) > 0
    UNION ALL
    SELECT 5, 'warned', 'is a member of ' || rolname || ': ' || power
    FROM mine
    JOIN (
        VALUES
            ('pg_read_all_data', 'it reads every table, whatever is granted on it'),
            ('pg_maintain', 'it may lock, rebuild and refresh every table'),
            ('pg_monitor', 'it sees what other sessions run'),
            ('pg_read_all_stats', 'it sees what other sessions run'),
            ('pg_read_all_settings', 'it sees every setting of the server'),
            ('pg_stat_scan_tables', 'its monitoring functions may lock tables'),
            ('pg_signal_backend', 'it may cancel and end the sessions of others'),
            ('pg_checkpoint', 'it may start checkpoints'),
            ('pg_create_subscription', 'it may create subscriptions')
    ) AS known (name, power) ON known.name = rolname
    -- pg_monitor is a member of the next three, which would only repeat it.
    WHERE rolname NOT IN ('pg_read_all_stats', 'pg_read_all_settings', 'pg_stat_scan_tables')
       OR NOT EXISTS (SELECT FROM mine WHERE rolname = 'pg_monitor')
    UNION ALL
    SELECT 6, 'warned', 'may create objects in schema(s) ' || pg_catalog.string_agg(DISTINCT s.nspname, ', ')
    FROM schemas AS s
    CROSS JOIN pg_catalog.aclexplode(COALESCE(s.nspacl, pg_catalog.acldefault('n', s.nspowner))) AS a
    JOIN grantees AS g ON g.oid = a.grantee
    WHERE a.privilege_type = 'CREATE'
    HAVING pg_catalog.count(*) > 0
    UNION ALL
    SELECT 7, 'warned', 'owns database ' || datname FROM this_database WHERE datdba IN (SELECT oid FROM mine)
    UNION ALL
    SELECT DISTINCT 8, 'warned', CASE a.privilege_type WHEN 'CREATE' THEN 'may create schemas in the database (CREATE)'
                                                       ELSE 'may create temporary tables (TEMP)' END
    FROM this_database AS d
    CROSS JOIN pg_catalog.aclexplode(COALESCE(d.datacl, pg_catalog.acldefault('d', d.datdba))) AS a
    JOIN grantees AS g ON g.oid = a.grantee
    WHERE a.privilege_type IN ('CREATE', 'TEMPORARY')
    UNION ALL
    SELECT 9, 'warned', 'may change ' || pg_catalog.count(*) || ' sequence(s), among them ' || pg_catalog.min(name)
    FROM (
        SELECT name FROM writable WHERE is_sequence UNION SELECT name FROM relations WHERE is_owned AND relkind = 'S'
    ) AS sequences
    HAVING pg_catalog.count(*) > 0
    UNION ALL
    SELECT 10, 'warned', 'may change ' || pg_catalog.count(*) || ' large object(s)' FROM large_objects HAVING pg_catalog.count(*) > 0
    UNION ALL
    SELECT 11, 'warned', 'may execute ' || pg_catalog.count(*) || ' function(s) with the rights of their owner (SECURITY DEFINER), among them '
                         || pg_catalog.min(name)
    FROM definers
    HAVING pg_catalog.count(*) > 0
    UNION ALL
    SELECT DISTINCT 12, 'warned', 'has the setting ' || setting || ': each statement runs in a READ ONLY transaction of its own instead'
    FROM writing_settings
    UNION ALL
    SELECT 13, 'warned', 'may execute ' || pg_catalog.string_agg(name, ', ' ORDER BY name) || ' (the guard refuses them)'
    FROM dangerous
    HAVING pg_catalog.count(*) > 0
)
SELECT grade, finding FROM findings ORDER BY place, finding
