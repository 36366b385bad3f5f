-- What each view reads and runs: its rule depends on it. Built-in functions are pinned, so none of them comes here.
SELECT r.ev_class AS view, d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AS is_relation,
       CASE d.refclassid
           WHEN 'pg_catalog.pg_operator'::pg_catalog.regclass THEN (SELECT o.oprcode FROM pg_catalog.pg_operator AS o WHERE o.oid = d.refobjid)
           ELSE d.refobjid
       END AS object
FROM pg_catalog.pg_rewrite AS r
JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
WHERE r.ev_class = ANY ($1) AND d.refobjid <> r.ev_class
  AND d.refclassid IN (
      'pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass
  )
GROUP BY 1, 2, 3
