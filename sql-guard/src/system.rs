//! The schemas and views of PostgreSQL itself.

/// The schema of PostgreSQL's own objects.
pub(crate) const PG_CATALOG: &str = "pg_catalog";

/// The schema of the SQL standard's views of them.
pub(crate) const INFORMATION_SCHEMA: &str = "information_schema";

/// System views that speak of no object of the database and of no other session.
pub(crate) const HARMLESS_VIEWS: &[&str] = &["pg_timezone_names", "pg_timezone_abbrevs"];

/// Whether a schema is one whose name PostgreSQL keeps for itself, temporary ones included, or the information schema.
pub(crate) fn is_system_schema(schema: &str) -> bool {
    schema.starts_with("pg_") || schema == INFORMATION_SCHEMA
}
