//! The agent's view: only what no server could accept is refused, so that a translator hears of it early.

use std::sync::Arc;

use crate::access::Access;
use crate::catalog::{Catalog, RelationName};
use crate::limits::Limits;
use crate::parse::parse;
use crate::policy::Policy;
use crate::pool::Abandoned;
use crate::rejection::Rejection;
use crate::statement::{Mode, Walk};

/// What the guard found in a statement that a server might accept. Nothing runs on its strength.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// The highest `$n`.
    pub placeholders: usize,
    /// The relations read, sorted and distinct; as they stand in the statement where no catalog was given.
    pub relations: Vec<RelationName>,
}

/// Judges `text` with what the agent knows. To be called on a guard thread.
pub(crate) fn advise(
    text: &str,
    params: Option<usize>,
    catalog: Option<Arc<dyn Catalog>>,
    limits: &Limits,
    abandoned: &Abandoned,
) -> Result<Advice, Rejection> {
    let parsed = parse(text, limits)?;
    let access = catalog.map(|catalog| Access::new(catalog, Arc::new(Policy::none())));
    let mut walk = Walk::new(text, Mode::Advisory, access.as_ref(), limits, abandoned);
    walk.statement(&parsed.statement)?;
    let placeholders = match params {
        Some(given) => walk.placeholders.expect(text, given)?,
        None => walk.placeholders.count(text)?,
    };
    Ok(Advice { placeholders, relations: walk.relations.into_iter().collect() })
}
