-- Functions of the database's own that PostgreSQL may run where it plans to read one of the relations $1, though no statement names
-- them. It computes beforehand what is IMMUTABLE and has constant arguments in indexes, statistics, CHECKs and partition keys. What
-- compares in an operator class of an index or a partition key it runs whatever it is: it sorts the bounds.
WITH parts AS (
    SELECT i.indrelid AS relation, 'pg_catalog.pg_class'::pg_catalog.regclass AS class, i.indexrelid AS object
    FROM pg_catalog.pg_index AS i
    UNION ALL
    SELECT s.stxrelid, 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, s.oid FROM pg_catalog.pg_statistic_ext AS s
    UNION ALL
    SELECT con.conrelid, 'pg_catalog.pg_constraint'::pg_catalog.regclass, con.oid
    FROM pg_catalog.pg_constraint AS con WHERE con.contype = 'c'
    UNION ALL
    SELECT p.partrelid, 'pg_catalog.pg_class'::pg_catalog.regclass, p.partrelid FROM pg_catalog.pg_partitioned_table AS p
),
needed AS (
    SELECT parts.relation, d.refclassid AS class, d.refobjid AS object
    FROM parts
    JOIN pg_catalog.pg_depend AS d ON d.classid = parts.class AND d.objid = parts.object
    WHERE parts.relation = ANY ($1) AND d.refobjid >= 16384
)
SELECT needed.relation, p.oid AS function
FROM needed
JOIN pg_catalog.pg_proc AS p ON p.oid = needed.object
WHERE needed.class = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.provolatile = 'i'
UNION
SELECT needed.relation, p.oid
FROM needed
JOIN pg_catalog.pg_operator AS o ON o.oid = needed.object
JOIN pg_catalog.pg_proc AS p ON p.oid = o.oprcode
WHERE needed.class = 'pg_catalog.pg_operator'::pg_catalog.regclass AND p.provolatile = 'i'
UNION
SELECT needed.relation, amproc.amproc::oid
FROM needed
JOIN pg_catalog.pg_opclass AS class ON class.oid = needed.object
JOIN pg_catalog.pg_amproc AS amproc ON amproc.amprocfamily = class.opcfamily
WHERE needed.class = 'pg_catalog.pg_opclass'::pg_catalog.regclass AND amproc.amproc::oid >= 16384
