//! Settings: a table of variables, and the values given for them.

mod source;
mod variable;

pub use source::{SettingsError, Source};
pub use variable::{Variable, differences_from_example, reference};
