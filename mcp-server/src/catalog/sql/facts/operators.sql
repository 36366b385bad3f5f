-- Every operator that did not come with PostgreSQL itself, and what it may run: its own function and, as the planner sees fit, those
-- of its commutator and negator, and the functions of the database's own in the operator families that it stands in.
SELECT n.nspname AS schema, o.oprname AS name,
       ARRAY(
           SELECT other.oprcode::oid FROM pg_catalog.pg_operator AS other
           WHERE other.oid IN (o.oid, o.oprcom, o.oprnegate) AND other.oprcode <> 0
           UNION
           SELECT amproc.amproc::oid
           FROM pg_catalog.pg_amop AS own
           JOIN pg_catalog.pg_amproc AS amproc ON amproc.amprocfamily = own.amopfamily
           WHERE own.amopopr = o.oid AND amproc.amproc::oid >= 16384
           UNION
           SELECT other.oprcode::oid
           FROM pg_catalog.pg_amop AS own
           JOIN pg_catalog.pg_amop AS beside ON beside.amopfamily = own.amopfamily
           JOIN pg_catalog.pg_operator AS other ON other.oid = beside.amopopr
           WHERE own.amopopr = o.oid AND other.oprcode::oid >= 16384
       )::oid[] AS functions
FROM pg_catalog.pg_operator AS o
JOIN pg_catalog.pg_namespace AS n ON n.oid = o.oprnamespace
WHERE (o.oid >= 16384 OR n.nspname <> 'pg_catalog') AND o.oprcode <> 0
