//! Whether the database's own code may leave something behind in its session.

use std::collections::HashSet;

use super::Access;
use crate::catalog::{FunctionRef, Planned, TypeName, Volatility};
use crate::functions::{self, Standing};
use crate::system::PG_CATALOG;
use crate::types;
use crate::words::Words;

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
            known.functions.iter().chain(&known.calls).any(|function| self.leaves_traces(function))
                || known.checks.as_deref().is_some_and(|checks| self.calls_or_casts_with_traces(checks))
                || known.parts.iter().chain(&known.converts_to).any(|part| self.leaves_traces_within(part, seen))
        })
    }

    /// Whether a function behind a cast, an operator or a type may leave something behind. Of PostgreSQL's own none does that any
    /// statement may call.
    pub(crate) fn leaves_traces(&self, function: &FunctionRef) -> bool {
        match function {
            FunctionRef::BuiltIn(name) => functions::standing(name) != Standing::Allowed,
            FunctionRef::User(id) => self.catalog.function(*id).is_none_or(functions::leaves_traces),
        }
    }

    /// Whether a view's definition names what may leave something behind, where nothing is recorded of it: PostgreSQL's own functions,
    /// casts between its own types, and types.
    pub(crate) fn definition_leaves_traces(&self, definition: &Words) -> bool {
        let types = self.types_with_traces.get_or_init(|| {
            let named = self.catalog.user_types().map(|(name, _)| name);
            named.filter(|name| self.type_leaves_traces(name)).map(|name| name.name).collect()
        });
        self.calls_or_casts_with_traces(definition) || types.iter().any(|name| definition.mention(name))
    }

    fn calls_or_casts_with_traces(&self, text: &Words) -> bool {
        let mut casts = self.catalog.casts_of_built_ins().iter().filter(|(_, function)| self.leaves_traces(function));
        self.calls_denied(text)
            || casts.any(|(target, _)| types::spellings(target).any(|spelling| text.mention(&spelling)))
    }

    /// Whether what PostgreSQL runs when it plans to read a relation may leave something behind.
    pub(crate) fn planning_leaves_traces(&self, planned: &Planned) -> bool {
        let Planned { compares, key_types: _, calls, types } = planned;
        compares.iter().any(|function| self.leaves_traces(function))
            || calls.iter().any(|function| self.is_computed(function) && self.leaves_traces(function))
            || types.iter().any(|name| self.type_leaves_traces(name))
    }

    /// Whether PostgreSQL computes anything of a call beforehand.
    fn is_computed(&self, function: &FunctionRef) -> bool {
        let FunctionRef::User(id) = function else { return true };
        self.catalog.function(*id).is_none_or(|function| {
            function.volatility == Volatility::Immutable || function.sql.is_some() || function.defaults.is_some()
        })
    }

    /// Whether code that PostgreSQL runs where no statement names it may leave something behind.
    pub(crate) fn hooks_leave_traces(&self) -> bool {
        let mut anywhere = self.catalog.hooks().iter().filter(|hook| hook.is_anywhere);
        *self.hooks_leave_traces.get_or_init(|| anywhere.any(|hook| self.leaves_traces(&hook.function)))
    }
}
