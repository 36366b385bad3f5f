//! The verdicts on the database's own functions, operators, types and hooks, each found out once for a caller.

use super::reach::{Question, Reached, Road};
use super::{Access, Sight, lock};
use crate::catalog::{Function, FunctionRef, Hook, Operator, Relation, RelationName, TypeName};
use crate::system::PG_CATALOG;
use crate::types::ALLOWED;

impl Access {
    /// Finds out every verdict.
    pub(crate) fn judge_all(&self) {
        for function in self.catalog.function_names().flat_map(|name| self.catalog.functions(name)) {
            self.function_denied(function);
        }
        for operator in self.catalog.all_operators() {
            self.operator_denied(operator);
        }
        let built_in = ALLOWED.iter().map(|name| TypeName { schema: PG_CATALOG.into(), name: (*name).into() });
        for name in self.catalog.user_types().map(|(name, _)| name).chain(built_in) {
            self.type_denied(&name);
        }
        self.hook_denied();
        self.hooks_leave_traces();
    }

    /// Why a function of the database's own may not be called, if it may not.
    ///
    /// By default only what PostgreSQL was told changes nothing may run, with the caller's rights, as long as nothing that it is
    /// seen to reach is refused or hidden. A policy may allow any function by its name.
    pub(crate) fn function_denied(&self, function: &Function) -> Option<String> {
        if let Some(known) = lock(&self.routines).get(&function.id) {
            return known.clone();
        }
        // Only a whole verdict is kept: others ask at the same time, and half of one says nothing of those on the way.
        let verdict = self.reached(function, Road::Called, &mut Reached::new(Question::Runs, None));
        lock(&self.routines).insert(function.id, verdict.clone());
        verdict
    }

    /// Why an operator of the database's own may not run, if it may not.
    pub(crate) fn operator_denied(&self, operator: &Operator) -> Option<String> {
        operator.functions.iter().find_map(|function| match function {
            FunctionRef::BuiltIn(_) => self.reference_denied(function, &mut Reached::new(Question::Runs, None)),
            FunctionRef::User(id) => {
                if let Some(known) = lock(&self.behind).get(id) {
                    return known.clone();
                }
                let verdict = self.reference_denied(function, &mut Reached::new(Question::Runs, None));
                lock(&self.behind).insert(*id, verdict.clone());
                verdict
            }
        })
    }

    /// Why nothing may be converted to a type, if it may not: what it would run, or what it would look up.
    pub(crate) fn type_denied(&self, name: &TypeName) -> Option<String> {
        if let Some(known) = lock(&self.types).get(name) {
            return known.clone();
        }
        let verdict = self.converted(name, &mut Reached::new(Question::Runs, None));
        lock(&self.types).insert(name.clone(), verdict.clone());
        verdict
    }

    /// The same for the type of a column of a relation that is just being looked at.
    pub(crate) fn column_type_denied(&self, name: &TypeName, of: &RelationName) -> Option<String> {
        self.converted(name, &mut Reached::new(Question::Runs, Some(of)))
    }

    /// Why no statement may run at all, if none may: what runs on values of PostgreSQL's own types runs wherever they stand, and
    /// where that is the guard can't tell.
    pub(crate) fn hook_denied(&self) -> Option<&str> {
        let denied = || self.hooks_denied(|hook| hook.is_anywhere).into_iter().next();
        self.hook_denied.get_or_init(denied).as_deref()
    }

    /// The code of the database's own that PostgreSQL may run where no statement names it, and that the caller may not call: what
    /// each belongs to and why.
    pub fn denied_hooks(&self) -> Vec<String> {
        let of_relation = |relation: &Relation| match self.look_at(&relation.name) {
            Some(Sight::Seen(seen)) if relation.view.is_none() => {
                let RelationName { schema, name } = &relation.name;
                seen.denied.as_ref().map(|why| format!("reading {schema}.{name} {why}"))
            }
            _ => None,
        };
        self.hooks_denied(|_| true).into_iter().chain(self.catalog.relations().filter_map(of_relation)).collect()
    }

    fn hooks_denied(&self, which: impl Fn(&Hook) -> bool) -> Vec<String> {
        let why = |hook: &Hook| {
            let why = self.reference_denied(&hook.function, &mut Reached::new(Question::Runs, None))?;
            Some(format!("{} {why}", hook.of))
        };
        let hooks = self.catalog.hooks().iter().filter(|hook| which(hook)).filter_map(why);
        hooks.chain(self.shadows_denied()).collect()
    }

    /// Operators that stand before PostgreSQL's own, so that even the driver's queries would mean them.
    fn shadows_denied(&self) -> impl Iterator<Item = String> {
        let path = self.catalog.search_path();
        let before = path.iter().position(|schema| schema == PG_CATALOG).map_or(&[][..], |at| &path[..at]);
        self.catalog.all_operators().filter(|operator| before.contains(&operator.schema)).filter_map(|operator| {
            let why = self.operator_denied(operator)?;
            Some(format!("the operator {}.{}, which stands before pg_catalog's, {why}", operator.schema, operator.name))
        })
    }

    /// Whether every function of that name in a schema may be called.
    pub fn allows_function(&self, schema: &str, name: &str) -> bool {
        let mut meant = self.catalog.functions(name).iter().filter(|function| function.schema == schema);
        meant.all(|function| self.function_denied(function).is_none())
    }
}
