//! What a database holds, read once and kept: tables, columns, keys, comments, enum labels.

mod cache;
mod facts;
mod introspect;
mod page;
mod path;
mod snapshot;
mod visible;

pub use cache::{Catalogs, LoadError};
pub use page::{PageError, page};
pub use path::OnPath;
pub use snapshot::Snapshot;
pub use visible::Visible;
