-- Changes with every DDL that is committed in this database: rows written to the system catalogs that a catalog is made from.
SELECT pg_catalog.sum(s.n_tup_ins + s.n_tup_upd + s.n_tup_del)::bigint AS changes
FROM pg_catalog.pg_stat_sys_tables AS s
WHERE s.schemaname = 'pg_catalog' AND s.relname IN (
    'pg_class', 'pg_attribute', 'pg_attrdef', 'pg_constraint', 'pg_index', 'pg_inherits', 'pg_rewrite', 'pg_namespace', 'pg_description',
    'pg_type', 'pg_enum', 'pg_range', 'pg_proc', 'pg_aggregate', 'pg_operator', 'pg_cast', 'pg_opclass', 'pg_opfamily', 'pg_amop',
    'pg_amproc', 'pg_policy', 'pg_statistic_ext', 'pg_depend'
)
