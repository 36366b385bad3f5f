-- Extra: the comments on the relations $1 (column 0) and their columns.
SELECT objoid AS relation, objsubid AS attnum, description
FROM pg_catalog.pg_description
WHERE classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND objoid = ANY ($1)
