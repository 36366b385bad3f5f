//! Whether the database's own code may leave something behind in its session.

use std::collections::HashSet;

use super::Access;
use crate::catalog::{Function, FunctionRef, TypeName};
use crate::system::PG_CATALOG;

impl Access {
    /// Whether converting to a type, or sorting and comparing its values, may run code that leaves something behind.
    pub(crate) fn type_leaves_traces(&self, name: &TypeName) -> bool {
        self.leaves_traces_within(name, &mut HashSet::new())
    }

    fn leaves_traces_within(&self, name: &TypeName, seen: &mut HashSet<TypeName>) -> bool {
        if !seen.insert(name.clone()) {
            return false;
        }
        if &*name.schema == PG_CATALOG {
            return self.catalog.casts_to(&name.name).iter().any(|function| self.leaves_traces(function));
        }
        self.catalog.user_type(&name.schema, &name.name).is_some_and(|known| {
            known.functions.iter().any(|function| self.leaves_traces(function))
                || known.parts.iter().any(|part| self.leaves_traces_within(part, seen))
        })
    }

    /// Whether a function behind a cast, an operator or a type may leave something behind.
    pub(crate) fn leaves_traces(&self, function: &FunctionRef) -> bool {
        match function {
            FunctionRef::BuiltIn(_) => false,
            FunctionRef::User(id) => self.catalog.function(*id).is_none_or(Function::leaves_traces),
        }
    }

    /// Whether code that PostgreSQL runs where no statement names it may leave something behind.
    pub(crate) fn hooks_leave_traces(&self) -> bool {
        let mut anywhere = self.catalog.hooks().iter().filter(|hook| hook.is_anywhere);
        *self.hooks_leave_traces.get_or_init(|| anywhere.any(|hook| self.leaves_traces(&hook.function)))
    }
}
