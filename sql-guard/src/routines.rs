//! Which of the database's own functions, operators, casts and types may run for a caller.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use crate::access::{Access, Sight, lock};
use crate::catalog::{
    Cast, Function, FunctionRef, ObjectId, Operator, RelationName, TypeName, UserType, Volatility, Words,
};
use crate::columns::Restriction;
use crate::functions::{self, Standing};
use crate::types::{self, PG_CATALOG};

/// PostgreSQL's types that hold text or bytes.
const TEXT_TYPES: &[&str] = &["text", "varchar", "bpchar", "char", "name", "bytea", "citext"];

/// How many functions and types may stand behind one another before the outermost is refused.
const MAX_DEPTH: usize = 32;

/// What has been reached from a function, an operator or a type, so that each thing is looked at once. What leads back to itself
/// is judged by the rest of what it does.
#[derive(Debug, Default)]
struct Reached {
    functions: HashSet<ObjectId>,
    types: HashSet<TypeName>,
    depth: usize,
}

impl Reached {
    /// Looks one step further, unless that is too far.
    fn further(&mut self, look: impl FnOnce(&mut Self) -> Option<String>) -> Option<String> {
        if self.depth == MAX_DEPTH {
            return Some("reaches too far, one thing from another".to_string());
        }
        self.depth += 1;
        let found = look(self);
        self.depth -= 1;
        found
    }
}

/// The casts of one database.
#[derive(Debug)]
pub(crate) struct Casts {
    to_built_in: HashMap<Arc<str>, Vec<FunctionRef>>,
    /// Why one that may run anywhere may not run, once that is asked.
    denied: OnceLock<Option<String>>,
}

impl Casts {
    fn new(casts: &[Cast]) -> Self {
        let mut to_built_in: HashMap<Arc<str>, Vec<FunctionRef>> = HashMap::new();
        for cast in casts.iter().filter(|cast| &*cast.target.schema == PG_CATALOG) {
            to_built_in.entry(Arc::clone(&cast.target.name)).or_default().push(cast.function.clone());
        }
        Self { to_built_in, denied: OnceLock::new() }
    }

    /// What casts to a type of PostgreSQL's run.
    pub(crate) fn to(&self, built_in: &str) -> &[FunctionRef] {
        self.to_built_in.get(built_in).map_or(&[], Vec::as_slice)
    }
}

impl Access {
    /// Why a function of the database's own may not be called, if it may not.
    ///
    /// By default only what PostgreSQL was told changes nothing may run, with the caller's rights, as long as nothing that it is
    /// seen to reach is refused or hidden. A policy may allow any function by its name.
    pub(crate) fn function_denied(&self, function: &Function) -> Option<String> {
        if let Some(known) = lock(&self.routines).get(&function.id) {
            return known.clone();
        }
        // Only a whole verdict is kept: others ask at the same time, and half of one says nothing of those on the way.
        let verdict = self.reached(function, &mut Reached::default());
        lock(&self.routines).insert(function.id, verdict.clone());
        verdict
    }

    fn reached(&self, function: &Function, reached: &mut Reached) -> Option<String> {
        match reached.functions.insert(function.id) {
            true => reached.further(|reached| self.judge(function, reached)),
            false => None,
        }
    }

    fn judge(&self, function: &Function, reached: &mut Reached) -> Option<String> {
        if function.is_procedure {
            return Some("is a procedure".to_string());
        }
        // A polymorphic argument takes the type of what is given.
        let mut arguments = function.arguments.iter().filter(|argument| !types::is_polymorphic(argument));
        if let Some(why) = arguments.find_map(|argument| self.converted(argument, reached)) {
            return Some(format!("takes a type that {why}"));
        }
        // What it gives may be converted where nobody wrote a cast.
        let mut own = function.returns.iter().filter(|returned| &*returned.schema != PG_CATALOG);
        if let Some(why) = own.find_map(|returned| self.converted(returned, reached)) {
            return Some(format!("returns a type that {why}"));
        }
        if self.policy.allows_function(function) {
            return None;
        }
        if function.returns.iter().any(|name| self.is_row_of_restricted(name)) {
            return Some("returns rows of a table that you may not read whole".to_string());
        }
        match function.extension.as_deref().and_then(|extension| functions::of_extension(extension, &function.name)) {
            Some(true) => return None,
            Some(false) => return Some("reaches beyond its arguments".to_string()),
            None => {}
        }
        if function.volatility == Volatility::Volatile {
            return Some("is VOLATILE, so it may change something".to_string());
        }
        if function.is_security_definer {
            return Some("runs with its owner's rights (SECURITY DEFINER)".to_string());
        }
        let uses = function.uses.iter().find_map(|used| self.reference_denied(used, reached));
        uses.or_else(|| function.body.as_deref().and_then(|body| self.body_denied(body, &function.schema, reached)))
    }

    /// Why a function behind a cast, an operator, a type or an aggregate may not run, if it may not.
    fn reference_denied(&self, function: &FunctionRef, reached: &mut Reached) -> Option<String> {
        match function {
            FunctionRef::BuiltIn(name) => {
                let standing = functions::standing(name);
                (standing != Standing::Allowed).then(|| format!("runs {name}()"))
            }
            FunctionRef::User(id) => match self.catalog.function(*id) {
                Some(function) => {
                    self.reached(function, reached).map(|why| format!("runs {}(), which {why}", function.name))
                }
                None => Some("runs a function that nothing is known of".to_string()),
            },
        }
    }

    /// Why a body may not run, as far as its words show. `home` is the schema that it stands in.
    fn body_denied(&self, body: &Words, home: &str, reached: &mut Reached) -> Option<String> {
        if body.mention("execute") {
            return Some("runs text that it makes up (EXECUTE)".to_string());
        }
        if let Some(call) = body.called().find(|name| self.is_denied_built_in(name)) {
            return Some(format!("calls {call}()"));
        }
        let path = self.catalog.search_path();
        let is_meant = |function: &&Function| {
            function.schema == home || path.contains(&function.schema) || body.mention(&function.schema)
        };
        for function in body.called().flat_map(|name| self.catalog.functions(name)).filter(is_meant) {
            if let Some(why) = self.reached(function, reached) {
                return Some(format!("calls {}(), which {why}", function.name));
            }
        }
        self.speaks_of_restricted(body, None).then(|| "reads what you may not read".to_string())
    }

    /// Whether a text names a relation that is hidden, or one of which it may show hidden or masked columns; `but` is the one that
    /// is just being looked at.
    pub(crate) fn speaks_of_restricted(&self, body: &Words, but: Option<&RelationName>) -> bool {
        let named = self.catalog.relations().map(|relation| &relation.name);
        let mut named = named.filter(|name| but != Some(*name) && body.mention(&name.name));
        named.any(|name| self.shows_restricted(body, name))
    }

    /// Whether a text calls a built-in that no statement may call.
    pub(crate) fn calls_denied(&self, text: &str) -> bool {
        Words::of(text).called().any(|name| self.is_denied_built_in(name))
    }

    fn is_denied_built_in(&self, name: &str) -> bool {
        match functions::standing(name) {
            Standing::Denied => true,
            Standing::Metadata => !self.policy.allows_built_in(name),
            Standing::Allowed | Standing::Unknown => false,
        }
    }

    /// Why an operator of the database's own may not run, if it may not.
    pub(crate) fn operator_denied(&self, operator: &Operator) -> Option<String> {
        self.reference_denied(&operator.function, &mut Reached::default())
    }

    /// Why nothing may be converted to a type, if it may not: what it would run, or what it would look up.
    pub(crate) fn type_denied(&self, name: &TypeName) -> Option<String> {
        self.converted(name, &mut Reached::default())
    }

    fn converted(&self, name: &TypeName, reached: &mut Reached) -> Option<String> {
        if !reached.types.insert(name.clone()) {
            return None;
        }
        if &*name.schema == PG_CATALOG {
            return types::refusal(&name.name)
                .map(str::to_string)
                .or_else(|| self.casts().to(&name.name).iter().find_map(|cast| self.reference_denied(cast, reached)));
        }
        match self.catalog.user_type(&name.schema, &name.name) {
            Some(known) => reached.further(|reached| self.user_type_denied(known, &name.schema, reached)),
            None => {
                let element = name.name.strip_prefix('_')?;
                let element = TypeName { schema: name.schema.clone(), name: element.into() };
                reached.further(|reached| self.converted(&element, reached))
            }
        }
    }

    fn user_type_denied(&self, known: &UserType, home: &str, reached: &mut Reached) -> Option<String> {
        if self.shows_restricted_row(known) {
            return Some("is the row type of a table with columns that you may not read".to_string());
        }
        known
            .functions
            .iter()
            .find_map(|function| self.reference_denied(function, reached))
            .or_else(|| known.checks.as_deref().and_then(|checks| self.body_denied(checks, home, reached)))
            .or_else(|| known.parts.iter().find_map(|part| self.converted(part, reached)))
    }

    /// The database's own casts by the types of PostgreSQL's that they convert to.
    pub(crate) fn casts(&self) -> &Casts {
        self.casts.get_or_init(|| Casts::new(self.catalog.casts()))
    }

    /// Why no statement may run at all, if none may: between two of PostgreSQL's types a cast may run wherever values of them meet,
    /// and which do the guard can't tell.
    pub(crate) fn cast_denied(&self) -> Option<&str> {
        let is_anywhere = |cast: &&Cast| &*cast.source.schema == PG_CATALOG && &*cast.target.schema == PG_CATALOG;
        let denied = || self.denied_casts_of(self.catalog.casts().iter().filter(is_anywhere)).next();
        self.casts().denied.get_or_init(denied).as_deref()
    }

    /// The database's own casts that may run where nobody wrote them, and run what the caller may not call: each with what it runs.
    pub fn denied_casts(&self) -> Vec<String> {
        self.denied_casts_of(self.catalog.casts().iter()).collect()
    }

    fn denied_casts_of<'c>(&self, casts: impl Iterator<Item = &'c Cast>) -> impl Iterator<Item = String> {
        casts.filter(|cast| cast.is_implicit).filter_map(|cast| {
            let why = self.reference_denied(&cast.function, &mut Reached::default())?;
            Some(format!("the cast from {} to {} {why}", cast.source, cast.target))
        })
    }

    fn is_row_of_restricted(&self, name: &TypeName) -> bool {
        let known = self.catalog.user_type(&name.schema, &name.name);
        known.is_some_and(|known| self.shows_restricted_row(known))
    }

    fn shows_restricted_row(&self, known: &UserType) -> bool {
        known.row_of.as_ref().is_some_and(|relation| match self.sight(&relation.schema, &relation.name) {
            Some(Sight::Seen(seen)) => seen.to_views.worst() >= Restriction::Masked,
            _ => true,
        })
    }

    /// Whether every function of that name in a schema may be called.
    pub fn allows_function(&self, schema: &str, name: &str) -> bool {
        let mut meant = self.catalog.functions(name).iter().filter(|function| function.schema == schema);
        meant.all(|function| self.function_denied(function).is_none())
    }

    /// Whether a type holds text or bytes, so that a secret could stand in it.
    pub(crate) fn holds_text(&self, name: &TypeName) -> bool {
        if TEXT_TYPES.contains(&&*name.name) {
            return true;
        }
        match self.catalog.user_type(&name.schema, &name.name) {
            Some(known) if known.is_domain => known.parts.iter().any(|base| self.holds_text(base)),
            _ => false,
        }
    }
}
