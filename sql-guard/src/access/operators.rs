//! What writing an operator may lead to, found out once for a caller.

use std::sync::Arc;

use super::{Access, lock};
use crate::system::PG_CATALOG;

/// What those of the database's own operators lead to that a name may mean.
#[derive(Debug, Default)]
pub(crate) struct Operators {
    /// Whether there are any.
    pub(crate) are_known: bool,
    /// Why one of them may not run, if one may not.
    pub(crate) denied: Option<String>,
    /// Whether one of them may leave something behind in the session.
    pub(crate) leave_traces: bool,
}

impl Access {
    /// The database's own operators that a name may mean, which stands without a schema.
    pub(crate) fn operators(&self, name: &str) -> Arc<Operators> {
        if let Some(known) = lock(&self.operators).get(name) {
            return Arc::clone(known);
        }
        let path = self.catalog.search_path();
        let found = Arc::new(
            self.operators_in(name, |schema| schema == PG_CATALOG || path.iter().any(|known| known == schema)),
        );
        // There are only so many that the catalog knows; others' names would fill the memory.
        if !self.catalog.operators(name).is_empty() {
            lock(&self.operators).insert(name.to_owned(), Arc::clone(&found));
        }
        found
    }

    /// The database's own operators of that name in the schemas that are meant.
    pub(crate) fn operators_in(&self, name: &str, is_meant: impl Fn(&str) -> bool) -> Operators {
        let mut found = Operators::default();
        for operator in self.catalog.operators(name).iter().filter(|operator| is_meant(&operator.schema)) {
            found.are_known = true;
            found.denied = found.denied.or_else(|| self.operator_denied(operator));
            found.leave_traces |= operator.functions.iter().any(|function| self.leaves_traces(function));
        }
        found
    }
}
