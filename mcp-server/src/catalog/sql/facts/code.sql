-- What of the database's own PostgreSQL may run where it plans to read one of the relations $1, though no statement names it. In
-- indexes, statistics, CHECKs and partition keys it computes beforehand what is IMMUTABLE and has constant arguments ('planned'), and
-- what it finds so in the bodies of SQL functions, in defaults of arguments and in the CHECKs of domains that stand there ('type').
-- What compares in an operator class of an index or a partition key it runs whatever it is ('always'): it sorts the bounds.
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
    -- Each part by itself, by index: in a database whose catalogs were never analysed PostgreSQL would go through all that depends on
    -- anything, and through all parts for each. What its columns need, a partitioned table needs for them alone.
    CROSS JOIN LATERAL (
        SELECT d.refclassid, d.refobjid
        FROM pg_catalog.pg_depend AS d
        WHERE d.classid = parts.class AND d.objid = parts.object AND d.objsubid = 0 AND d.refobjid >= 16384
        OFFSET 0
    ) AS d
    WHERE parts.relation = ANY ($1)
),
families AS (
    SELECT needed.relation, class.opcfamily AS family
    FROM needed
    JOIN pg_catalog.pg_opclass AS class ON class.oid = needed.object
    WHERE needed.class = 'pg_catalog.pg_opclass'::pg_catalog.regclass
    UNION
    -- Whether one condition implies another is found out with others of the operator's family.
    SELECT needed.relation, amop.amopfamily
    FROM needed
    JOIN pg_catalog.pg_amop AS amop ON amop.amopopr = needed.object
    WHERE needed.class = 'pg_catalog.pg_operator'::pg_catalog.regclass
)
SELECT needed.relation, 'planned' AS kind, needed.object
FROM needed
WHERE needed.class = 'pg_catalog.pg_proc'::pg_catalog.regclass
UNION
SELECT needed.relation, 'type', needed.object
FROM needed
WHERE needed.class = 'pg_catalog.pg_type'::pg_catalog.regclass
UNION
-- NOT before an operator makes its negator of it.
SELECT needed.relation, 'planned', other.oprcode::oid
FROM needed
JOIN pg_catalog.pg_operator AS o ON o.oid = needed.object
JOIN pg_catalog.pg_operator AS other ON other.oid IN (o.oid, o.oprcom, o.oprnegate)
WHERE needed.class = 'pg_catalog.pg_operator'::pg_catalog.regclass AND other.oprcode::oid >= 16384
UNION
SELECT families.relation, 'planned', o.oprcode::oid
FROM families
JOIN pg_catalog.pg_amop AS amop ON amop.amopfamily = families.family
JOIN pg_catalog.pg_operator AS o ON o.oid = amop.amopopr
WHERE o.oprcode::oid >= 16384
UNION
SELECT families.relation, 'always', amproc.amproc::oid
FROM families
JOIN pg_catalog.pg_amproc AS amproc ON amproc.amprocfamily = families.family
WHERE amproc.amproc::oid >= 16384
