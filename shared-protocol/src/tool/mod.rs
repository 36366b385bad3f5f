//! Input and output types of the tools, one file per tool. JSON Schemas are derived from them, never typed by hand.

pub mod run_sql;
