-- What each view reads, runs and converts to: its rule depends on it. Built-in functions and types are pinned, so none of them comes
-- here but behind an operator.
SELECT r.ev_class AS view,
       CASE d.refclassid
           WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN 'relation' WHEN 'pg_catalog.pg_type'::pg_catalog.regclass THEN 'type' ELSE 'function'
       END AS kind,
       COALESCE(behind.function, d.refobjid) AS object
FROM pg_catalog.pg_rewrite AS r
JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
-- NOT before an operator makes its negator of it, and sorting by one runs what compares in its family.
LEFT JOIN LATERAL (
    SELECT other.oprcode::oid AS function
    FROM pg_catalog.pg_operator AS o
    JOIN pg_catalog.pg_operator AS other ON other.oid IN (o.oid, o.oprcom, o.oprnegate)
    WHERE o.oid = d.refobjid AND other.oprcode <> 0
    UNION
    SELECT amproc.amproc::oid
    FROM pg_catalog.pg_amop AS amop
    JOIN pg_catalog.pg_amproc AS amproc ON amproc.amprocfamily = amop.amopfamily
    WHERE amop.amopopr = d.refobjid AND amproc.amproc::oid >= 16384
) AS behind ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass
WHERE r.ev_class = ANY ($1) AND d.refobjid <> r.ev_class
  AND d.refclassid IN (
      'pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass,
      'pg_catalog.pg_operator'::pg_catalog.regclass
  )
  -- A field of a composite type is one of no table.
  AND NOT (
      d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
      AND EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = d.refobjid AND c.relkind = 'c')
  )
GROUP BY 1, 2, 3
