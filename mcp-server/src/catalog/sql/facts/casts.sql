-- Casts of the database's own: between which types, and what they run.
SELECT c.castsource AS source, c.casttarget AS target, c.castfunc AS function, c.castcontext <> 'e' AS is_implicit
FROM pg_catalog.pg_cast AS c
WHERE c.oid >= 16384 AND c.castfunc <> 0
