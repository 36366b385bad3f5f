-- PostgreSQL's own functions as lines of tab-separated fields, for functions.py:
--
--     psql --no-psqlrc --quiet --file=sql-guard/tools/builtins.sql > FOLDER/15.tsv
--
-- Once for each major version, on a database without extensions.
COPY (
    SELECT
        function.proname AS name,
        -- As the shared table names them, and the types of the input alone, which stay the same from version to version.
        pg_get_function_identity_arguments(function.oid) AS arguments,
        oidvectortypes(function.proargtypes) AS types,
        -- How few arguments a call may give. Those that are left out have defaults; a variadic part is never empty. What a
        -- hypothetical-set aggregate takes is variadic twice: before WITHIN GROUP and inside it.
        function.pronargs - function.pronargdefaults + CASE aggregate.aggkind WHEN 'h' THEN 1 ELSE 0 END AS least,
        -- How many; NULL is any number.
        CASE WHEN function.provariadic = 0 THEN function.pronargs END AS most,
        function.prokind AS kind,
        function.provolatile AS volatility,
        format_type(function.prorettype, NULL) AS returns
    FROM pg_proc AS function
    LEFT JOIN pg_aggregate AS aggregate ON aggregate.aggfnoid = function.oid
    WHERE function.pronamespace = 'pg_catalog'::regnamespace
    ORDER BY 1, 2
) TO STDOUT;
