-- Every type but the arrays, each with the number of its array type: its name, and of those that did not come with PostgreSQL
-- itself also what it is made of and what converting to or from it runs. Casts come by themselves.
WITH ran AS MATERIALIZED (
    -- Functions of the database's own by operator family.
    SELECT amproc.amprocfamily AS family, amproc.amproc::oid AS function
    FROM pg_catalog.pg_amproc AS amproc WHERE amproc.amproc::oid >= 16384
    UNION
    SELECT amop.amopfamily, o.oprcode::oid
    FROM pg_catalog.pg_amop AS amop
    JOIN pg_catalog.pg_operator AS o ON o.oid = amop.amopopr
    WHERE o.oprcode::oid >= 16384
),
sorted AS MATERIALIZED (
    SELECT class.opcintype AS type, ran.function
    FROM pg_catalog.pg_opclass AS class
    JOIN ran ON ran.family = class.opcfamily
)
SELECT t.oid, t.typarray AS array_type, (SELECT a.typname FROM pg_catalog.pg_type AS a WHERE a.oid = t.typarray) AS array_name, n.nspname AS schema, t.typname AS name, t.typtype = 'd' AS is_domain,
       t.oid >= 16384 OR n.nspname <> 'pg_catalog' AS is_users_own,
       (SELECT c.oid FROM pg_catalog.pg_class AS c WHERE c.oid = t.typrelid AND c.relkind <> 'c') AS row_of,
       ARRAY(
           SELECT t.typbasetype WHERE t.typbasetype <> 0
           UNION ALL
           SELECT a.atttypid FROM pg_catalog.pg_attribute AS a
           WHERE t.typrelid <> 0 AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
           UNION ALL
           SELECT r.rngsubtype FROM pg_catalog.pg_range AS r WHERE t.typtype IN ('r', 'm') AND t.oid IN (r.rngtypid, r.rngmultitypid)
       )::oid[] AS parts,
       ARRAY(
           -- Not typreceive: values of these types are sent as text.
           SELECT f.oid
           FROM (
               VALUES (t.typinput::oid), (t.typmodin::oid), (t.typoutput::oid), (t.typsend::oid), (t.typsubscript::oid)
           ) AS f(oid)
           WHERE f.oid >= 16384
           UNION
           SELECT f.oid
           FROM pg_catalog.pg_range AS r
           CROSS JOIN LATERAL (VALUES (r.rngcanonical::oid), (r.rngsubdiff::oid)) AS f(oid)
           WHERE t.typtype IN ('r', 'm') AND t.oid IN (r.rngtypid, r.rngmultitypid) AND f.oid >= 16384
           UNION
           -- What compares its values, or its arrays', where nobody wrote an operator: ORDER BY, DISTINCT, GROUP BY, ranges.
           SELECT sorted.function FROM sorted WHERE sorted.type IN (t.oid, t.typarray)
           UNION
           SELECT ran.function
           FROM pg_catalog.pg_range AS r
           JOIN pg_catalog.pg_opclass AS class ON class.oid = r.rngsubopc
           JOIN ran ON ran.family = class.opcfamily
           WHERE t.typtype IN ('r', 'm') AND t.oid IN (r.rngtypid, r.rngmultitypid)
       )::oid[] AS functions,
       -- What a domain's CHECK needs of the user's: functions, also those behind operators, and types. Built-ins are found in its text.
       ARRAY(
           SELECT d.refobjid FROM pg_catalog.pg_constraint AS con
           JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = con.oid
           WHERE t.typtype = 'd' AND con.contypid = t.oid AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
           UNION
           SELECT other.oprcode::oid FROM pg_catalog.pg_constraint AS con
           JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = con.oid
           JOIN pg_catalog.pg_operator AS o ON o.oid = d.refobjid
           JOIN pg_catalog.pg_operator AS other ON other.oid IN (o.oid, o.oprcom, o.oprnegate)
           WHERE t.typtype = 'd' AND con.contypid = t.oid AND d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass
             AND other.oprcode <> 0
       )::oid[] AS calls,
       ARRAY(
           SELECT d.refobjid FROM pg_catalog.pg_constraint AS con
           JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = con.oid
           WHERE t.typtype = 'd' AND con.contypid = t.oid AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
             AND d.refobjid <> t.oid
       )::oid[] AS converts_to,
       CASE WHEN t.typtype = 'd' THEN (
           SELECT pg_catalog.string_agg(pg_catalog.pg_get_constraintdef(con.oid), ' ')
           FROM pg_catalog.pg_constraint AS con WHERE con.contypid = t.oid AND con.contype = 'c'
       ) END AS checks
FROM pg_catalog.pg_type AS t
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_type AS element WHERE element.typarray = t.oid)
