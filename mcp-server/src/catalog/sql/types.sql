-- Every type: its name for columns[].type, and whether casting to one of the user's own could run a function of theirs.
SELECT t.oid, t.typname, n.nspname,
       t.typtype = 'e' AND NOT EXISTS (
           SELECT FROM pg_catalog.pg_cast AS c WHERE t.oid IN (c.castsource, c.casttarget)
       ) AS is_plain,
       -- Row types of tables carry their tables' names, hidden ones too.
       EXISTS (
           SELECT FROM pg_catalog.pg_class AS c WHERE c.reltype IN (t.oid, t.typelem) AND c.relkind <> 'c'
       ) AS is_row_type
FROM pg_catalog.pg_type AS t
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
