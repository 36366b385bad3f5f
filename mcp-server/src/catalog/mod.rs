//! What a database holds, read once and kept: tables, columns, keys, comments, enum labels.

mod cache;
mod catalogs;
mod facts;
mod introspect;
mod page;
mod path;
mod snapshot;
mod visible;

pub use cache::{CatalogCache, LoadError, Status};
pub use catalogs::Catalogs;
pub use page::{PageError, page};
pub use path::OnPath;
pub use snapshot::Snapshot;
pub use visible::Visible;
