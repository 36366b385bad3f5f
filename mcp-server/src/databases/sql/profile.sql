-- What pins depend on: the encoding, and whether settings of the role or the database work against the pins that make a
-- session safe. Those of the database alone, of the role alone and of both count.
SELECT
    pg_catalog.current_setting('server_encoding') AS server_encoding,
    EXISTS (SELECT FROM pg_catalog.pg_settings WHERE name = 'geqo_threshold') AS has_geqo,
    EXISTS (SELECT FROM pg_catalog.pg_settings WHERE name = 'jit') AS has_jit,
    EXISTS (
        SELECT
        FROM pg_catalog.pg_db_role_setting AS s
        CROSS JOIN pg_catalog.unnest(s.setconfig) AS setting
        WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()))
          AND s.setrole IN (0, (SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = session_user))
          AND (
              pg_catalog.lower(pg_catalog.split_part(setting, '=', 1)) IN ('role', 'session_authorization')
              OR pg_catalog.lower(pg_catalog.split_part(setting, '=', 1))
                     IN ('default_transaction_read_only', 'transaction_read_only', 'row_security')
                 AND pg_catalog.lower(pg_catalog.split_part(setting, '=', 2)) NOT IN ('on', 'true', 'yes', '1')
          )
    ) AS works_against_pins
