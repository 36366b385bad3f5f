-- What each view reads, runs and converts to: its rule depends on it. Built-in functions and types are pinned, so none of them comes
-- here but behind an operator.
SELECT r.ev_class AS view,
       CASE d.refclassid
           WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN 'relation' WHEN 'pg_catalog.pg_type'::pg_catalog.regclass THEN 'type' ELSE 'function'
       END AS kind,
       CASE d.refclassid
           WHEN 'pg_catalog.pg_operator'::pg_catalog.regclass THEN (SELECT o.oprcode FROM pg_catalog.pg_operator AS o WHERE o.oid = d.refobjid)
           ELSE d.refobjid
       END AS object
FROM pg_catalog.pg_rewrite AS r
JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
WHERE r.ev_class = ANY ($1) AND d.refobjid <> r.ev_class
  AND d.refclassid IN (
      'pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass,
      'pg_catalog.pg_operator'::pg_catalog.regclass
  )
GROUP BY 1, 2, 3
