//! Every message that crosses the wire between the two tiers, and nothing else: types and names, no I/O.

pub mod catalog;
pub mod endpoint;
pub mod envelope;
pub mod error;
pub mod names;
pub mod tool;
