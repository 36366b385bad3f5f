-- Every function, aggregate and procedure that did not come with PostgreSQL itself: numbers from 16384 on are the user's, and only
-- pg_catalog's are in the guard's own table.
SELECT p.oid, n.nspname AS schema, p.proname AS name, p.pronargs::int AS arguments, p.pronargdefaults::int AS defaults,
       p.provariadic <> 0 AS is_variadic, ARRAY(SELECT pg_catalog.unnest(p.proargtypes)) AS types, 
       ARRAY(SELECT DISTINCT pg_catalog.unnest(p.prorettype || p.proallargtypes)) AS returns, p.provolatile::text AS volatility,
       p.prosecdef AS is_security_definer, p.prokind = 'p' AS is_procedure,
       p.proconfig IS NOT NULL AS has_settings,
       l.lanname NOT IN ('sql', 'plpgsql', 'c', 'internal') AS is_opaque,
       CASE WHEN l.lanname = 'sql' THEN COALESCE(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc) END AS sql,
       (
           SELECT e.extname FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
           WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e'
             AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
       ) AS extension,
       -- A body of C or of an internal function is only its name. Defaults of arguments may call anything, too.
       pg_catalog.concat_ws(
           ' ',
           CASE WHEN l.lanname NOT IN ('c', 'internal') THEN COALESCE(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc) END,
           pg_catalog.pg_get_expr(p.proargdefaults, 0)
       ) AS body,
       pg_catalog.pg_get_expr(p.proargdefaults, 0) AS defaults_text,
       ARRAY(
           SELECT used.oid
           FROM pg_catalog.pg_aggregate AS a
           CROSS JOIN LATERAL (
               VALUES (a.aggtransfn::oid), (a.aggfinalfn::oid), (a.aggcombinefn::oid), (a.aggserialfn::oid), (a.aggdeserialfn::oid),
                      (a.aggmtransfn::oid), (a.aggminvtransfn::oid), (a.aggmfinalfn::oid)
           ) AS used(oid)
           WHERE a.aggfnoid = p.oid AND used.oid <> 0
           UNION
           -- Another name for a built-in is that built-in.
           SELECT b.oid FROM pg_catalog.pg_proc AS b
           WHERE l.lanname = 'internal' AND p.prokind <> 'a' AND b.prosrc = p.prosrc AND b.prolang = p.prolang AND b.oid < 16384
             AND b.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
       )::oid[] AS uses
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
WHERE p.oid >= 16384 OR n.nspname <> 'pg_catalog'
ORDER BY n.nspname, p.proname, p.oid
