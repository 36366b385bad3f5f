//! What a view's columns show: its definition, walked as its owner's.

use super::{Mode, Walk};
use crate::access::Access;
use crate::columns::Columns;
use crate::limits::Limits;
use crate::parse::parse;
use crate::pool::Abandoned;

/// The output columns of a view under the restrictions of what it reads; nothing where it uses a masked column in another way than
/// to pass it on, or can't be judged. To be called on a guard thread.
pub(crate) fn outputs(definition: &str, access: &Access) -> Option<Columns> {
    let limits = Limits { max_bytes: usize::MAX, max_tokens: usize::MAX, ..Limits::default() };
    let parsed = parse(definition, &limits).ok()?;
    let mut walk = Walk::new(definition, Mode::Definition, Some(access), &limits, &Abandoned::default());
    walk.statement(&parsed.statement).ok()
}
