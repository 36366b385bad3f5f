//! What a view's columns show, and what it reads: its definition, walked as its owner's. To be called on a guard thread.

use std::collections::BTreeSet;

use super::{Mode, Walk};
use crate::access::Access;
use crate::catalog::RelationName;
use crate::columns::Columns;
use crate::limits::Limits;
use crate::parse::parse;
use crate::pool::Abandoned;

/// The output columns of a view under the restrictions of what it reads; nothing where it uses a masked column in another way than
/// to pass it on, or can't be judged.
pub(crate) fn outputs(definition: &str, access: &Access) -> Option<Columns> {
    walked(definition, access).map(|(outputs, _)| outputs)
}

/// The relations that a view names; nothing where its columns can't be told either.
pub(crate) fn relations(definition: &str, access: &Access) -> Option<BTreeSet<RelationName>> {
    walked(definition, access).map(|(_, relations)| relations)
}

fn walked(definition: &str, access: &Access) -> Option<(Columns, BTreeSet<RelationName>)> {
    let limits = Limits { max_bytes: usize::MAX, max_tokens: usize::MAX, ..Limits::default() };
    let parsed = parse(definition, &limits).ok()?;
    let mut walk = Walk::new(definition, Mode::Definition, Some(access), &limits, &Abandoned::default());
    let outputs = walk.statement(&parsed.statement).ok()?;
    Some((outputs, walk.relations))
}
