-- Whether any of these relations, by schemas $1 and names $2, has row-level security.
SELECT EXISTS (
    SELECT
    FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS named(schema, name)
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = named.schema
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = named.name
    WHERE c.relrowsecurity
)
