-- Extra: the defaults of the columns of the relations $1.
SELECT d.adrelid AS relation, d.adnum AS attnum, pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS default_value
FROM pg_catalog.pg_attrdef AS d
WHERE d.adrelid = ANY ($1)
