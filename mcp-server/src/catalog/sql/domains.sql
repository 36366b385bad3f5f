-- Extra: the CHECKs of the domains $1.
SELECT contypid AS type, pg_catalog.string_agg(pg_catalog.pg_get_constraintdef(oid), ' ' ORDER BY conname) AS checks
FROM pg_catalog.pg_constraint WHERE contypid = ANY ($1) AND contype = 'c' GROUP BY contypid
