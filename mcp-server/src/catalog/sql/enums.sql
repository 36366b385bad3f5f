-- Extra: the labels of the enum types $1, in their own order.
SELECT enumtypid AS type, pg_catalog.array_agg(enumlabel::text ORDER BY enumsortorder) AS labels
FROM pg_catalog.pg_enum WHERE enumtypid = ANY ($1) GROUP BY enumtypid
