-- The schemas in effect for the role, in order, and whether it could create objects in each.
SELECT s.name, pg_catalog.has_schema_privilege(s.name, 'CREATE') AS may_create
FROM pg_catalog.unnest(pg_catalog.current_schemas(false)) WITH ORDINALITY AS s(name, place)
ORDER BY s.place
