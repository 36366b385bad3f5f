-- Pins what a session's statements may rely on, and names the backend for cancels. See safety.md, wall 2.
-- set_config is volatile, so the planner keeps these columns though nobody reads them.
SELECT pg_catalog.pg_backend_pid()
FROM (
    SELECT
        pg_catalog.set_config('TimeZone', $1, false),
        pg_catalog.set_config('search_path', $2, false),
        pg_catalog.set_config('statement_timeout', $3, false),
        pg_catalog.set_config('lock_timeout', $4, false),
        pg_catalog.set_config('idle_in_transaction_session_timeout', $5, false),
        pg_catalog.set_config('DateStyle', 'ISO', false),
        pg_catalog.set_config('IntervalStyle', 'postgres', false),
        pg_catalog.set_config('bytea_output', 'hex', false),
        pg_catalog.set_config('extra_float_digits', '1', false),
        -- A SQL_ASCII database knows no encoding: its bytes come as they are, so that we can say which column isn't UTF-8.
        pg_catalog.set_config(
            'client_encoding', CASE pg_catalog.current_setting('server_encoding') WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END, false
        ),
        pg_catalog.set_config('standard_conforming_strings', 'on', false),
        pg_catalog.set_config('row_security', 'on', false),
        pg_catalog.set_config('default_transaction_read_only', 'on', false)
) AS pins
