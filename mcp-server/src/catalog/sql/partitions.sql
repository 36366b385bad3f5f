-- Extra: how many partitions each of the relations $1 has.
SELECT inhparent AS relation, count(*) AS partitions
FROM pg_catalog.pg_inherits WHERE inhparent = ANY ($1) GROUP BY inhparent
