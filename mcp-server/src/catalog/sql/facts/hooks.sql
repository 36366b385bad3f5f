-- Functions of the database's own in operator classes that PostgreSQL may use on values of its own types: the default class of such a
-- type, and a family in which one of PostgreSQL's own operators stands. Sorting, grouping, joins and index searches run them.
WITH families AS (
    SELECT class.opcfamily AS family, 'the operator class ' || class.opcname AS of
    FROM pg_catalog.pg_opclass AS class
    WHERE class.oid >= 16384 AND class.opcdefault AND class.opcintype < 16384
    UNION
    SELECT amop.amopfamily, 'the operator family ' || family.opfname
    FROM pg_catalog.pg_amop AS amop
    JOIN pg_catalog.pg_opfamily AS family ON family.oid = amop.amopfamily
    WHERE amop.amopopr < 16384
)
SELECT families.of, amproc.amproc::oid AS function
FROM families
JOIN pg_catalog.pg_amproc AS amproc ON amproc.amprocfamily = families.family
WHERE amproc.amproc::oid >= 16384
UNION
SELECT families.of, o.oprcode::oid
FROM families
JOIN pg_catalog.pg_amop AS amop ON amop.amopfamily = families.family
JOIN pg_catalog.pg_operator AS o ON o.oid = amop.amopopr
WHERE o.oprcode::oid >= 16384
ORDER BY 1, 2
