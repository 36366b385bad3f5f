-- What the types $1 with the modifiers $2 are called.
SELECT kind.oid, kind.modifier, pg_catalog.format_type(kind.oid, kind.modifier) AS name
FROM unnest($1, $2::int4[]) AS kind(oid, modifier)
