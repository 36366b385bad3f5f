//! Input and output types of the tools, one file per tool. JSON Schemas are derived from them, never typed by hand.

mod bounded;
pub mod describe_table;
pub mod execute_query;
pub mod explain_query;
pub mod find_join_path;
pub mod get_foreign_keys;
pub mod get_sample_rows;
pub mod list_databases;
pub mod list_schemas;
pub mod list_tables;
pub mod refresh_schema;
pub mod run_sql;
pub mod search_schema;

pub use bounded::Bounded;

/// How many entries of a listing a call gets.
pub type PageSize = Bounded<1, 500, 100>;

pub(crate) fn yes() -> bool {
    true
}
