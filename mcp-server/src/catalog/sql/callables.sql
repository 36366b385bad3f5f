-- Names of functions and operators outside pg_catalog, callable or not: a statement could mean one of them by a built-in's name.
SELECT DISTINCT p.proname AS name, false AS is_operator
FROM pg_catalog.pg_proc AS p
WHERE p.pronamespace <> 'pg_catalog'::pg_catalog.regnamespace
UNION ALL
SELECT DISTINCT o.oprname, true
FROM pg_catalog.pg_operator AS o
WHERE o.oprnamespace <> 'pg_catalog'::pg_catalog.regnamespace
  -- An extension's operators are its own business: refusing = wherever citext is installed would refuse everything.
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_depend AS d
      WHERE d.classid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND d.objid = o.oid AND d.deptype = 'e'
  )
