//! What a database holds, read once and kept: tables, columns, keys, comments, enum labels.

mod assembly;
mod cache;
mod catalogs;
mod changes;
pub mod ddl;
pub mod erd;
mod extras;
mod facts;
mod hidden_schemas;
mod identifier;
mod introspect;
pub mod join_path;
mod page;
mod path;
mod samples;
mod sampling;
mod search;
mod sizes;
mod snapshot;
#[cfg(test)]
mod tests;
mod visible;

pub use cache::{CatalogCache, LoadError, Status};
pub use catalogs::Catalogs;
pub use changes::Changes;
pub use identifier::quoted;
pub use page::{PageError, page};
pub use path::OnPath;
pub use search::search;
pub use sizes::{Size, size_of_database, sizes_of};
pub use snapshot::Snapshot;
pub use visible::{Visible, VisibleSchema};
