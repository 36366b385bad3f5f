-- Extra: by what each of the relations $1 is partitioned, and into how many.
SELECT p.partrelid AS relation, pg_catalog.pg_get_partkeydef(p.partrelid) AS key,
       (SELECT count(*) FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = p.partrelid) AS partitions
FROM pg_catalog.pg_partitioned_table AS p
WHERE p.partrelid = ANY ($1)
