//! What a database holds, read once and kept: tables, columns, keys, comments, enum labels.

mod cache;
mod introspect;
mod page;
mod snapshot;

pub use cache::{Catalogs, LoadError};
pub use page::{PageError, page};
pub use snapshot::Snapshot;
