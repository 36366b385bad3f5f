//! Which of the database's own functions, operators, casts and types may run for a caller, and what they show.

use std::collections::HashSet;

use crate::access::{Access, Sight, lock};
use crate::catalog::{Function, FunctionRef, Hook, ObjectId, Operator, RelationName, TypeName, UserType, Volatility};
use crate::columns::Restriction;
use crate::functions::{self, Standing};
use crate::statement::definition;
use crate::types::{self, HARMLESS_VIEWS, INFORMATION_SCHEMA, PG_CATALOG};
use crate::words::{Words, is_plain};

/// PostgreSQL's types that hold text or bytes.
const TEXT_TYPES: &[&str] = &["text", "varchar", "bpchar", "char", "name", "bytea", "citext"];

/// Types that only code behind others takes and gives: input, output and support functions.
const CODE_TYPES: &[&str] = &["cstring", "internal"];

/// How many functions and types may stand behind one another before the outermost is refused.
const MAX_DEPTH: usize = 32;

/// What is asked of everything that a function or a type leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    /// Whether it may run.
    Runs,
    /// Whether it shows what the caller may not see; whether it may run is another's to answer for.
    Shows,
}

/// How a function is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Road {
    /// By its name.
    Called,
    /// As the code of an operator, a cast, a type or an aggregate.
    Behind,
}

/// What has been reached from a function, an operator or a type, so that each thing is looked at once. What leads back to itself
/// is judged by the rest of what it does.
#[derive(Debug)]
struct Reached<'a> {
    question: Question,
    /// The relation for which it is asked: that it is spoken of says nothing, since it is just being looked at.
    but: Option<&'a RelationName>,
    /// Whether names are looked up under another search_path than the session's, because a function on the way has settings of its
    /// own.
    is_anywhere: bool,
    functions: HashSet<(ObjectId, bool)>,
    types: HashSet<TypeName>,
    depth: usize,
}

impl<'a> Reached<'a> {
    fn new(question: Question, but: Option<&'a RelationName>) -> Self {
        Self { question, but, is_anywhere: false, functions: HashSet::new(), types: HashSet::new(), depth: 0 }
    }

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
        let verdict = self.reached(function, Road::Called, &mut Reached::new(Question::Runs, None));
        lock(&self.routines).insert(function.id, verdict.clone());
        verdict
    }

    /// Whether a function of a view shows what the caller may not see, whoever runs it.
    pub(crate) fn function_shows_restricted(&self, function: &Function, view: &RelationName) -> bool {
        self.reached(function, Road::Called, &mut Reached::new(Question::Shows, Some(view))).is_some()
    }

    fn reached(&self, function: &Function, road: Road, reached: &mut Reached<'_>) -> Option<String> {
        let around = reached.is_anywhere;
        reached.is_anywhere |= function.has_settings;
        let why = match reached.functions.insert((function.id, reached.is_anywhere)) {
            true => reached.further(|reached| self.judge(function, road, reached)),
            false => None,
        };
        reached.is_anywhere = around;
        why
    }

    fn judge(&self, function: &Function, road: Road, reached: &mut Reached<'_>) -> Option<String> {
        let runs = reached.question == Question::Runs;
        if runs && function.is_procedure {
            return Some("is a procedure".to_string());
        }
        if runs && let Some(why) = self.signature_denied(function, road, reached) {
            return Some(why);
        }
        if self.policy.allows_function(function) {
            return None;
        }
        if function.returns.iter().any(|name| self.rows_within(name) >= Restriction::Masked) {
            return Some("returns rows of a table that you may not read whole".to_string());
        }
        match function.extension.as_deref().and_then(|extension| functions::of_extension(extension, &function.name)) {
            Some(true) => return None,
            Some(false) if runs => return Some("reaches beyond its arguments".to_string()),
            _ => {}
        }
        if runs && function.volatility == Volatility::Volatile {
            return Some("is VOLATILE, so it may change something".to_string());
        }
        if runs && function.is_security_definer {
            return Some("runs with its owner's rights (SECURITY DEFINER)".to_string());
        }
        if function.is_opaque && (runs || self.policy.has_rules()) {
            return Some("is written in a language that can't be looked through".to_string());
        }
        if let Some(why) = function.uses.iter().find_map(|used| self.reference_denied(used, reached)) {
            return Some(why);
        }
        let body = function.body.as_deref()?;
        self.body_denied(body, &function.schema, reached).or_else(|| self.reading_denied(function, body, reached))
    }

    /// Why a function may not read what its body names, if it may not. A body that is SQL is looked at as a view's definition is;
    /// any other may do anything with the tables that it names.
    fn reading_denied(&self, function: &Function, body: &Words, reached: &Reached<'_>) -> Option<String> {
        // Statistics hold values, and catalogs hold names.
        let counts =
            |word: &&str| reached.question == Question::Runs || self.policy.has_rules() || word.contains("stat");
        if let Some(name) = body.all().filter(counts).find(|word| is_of_system(word)) {
            return Some(format!("reads the system catalog {name}"));
        }
        let is_clean = || {
            let sql = function.sql.as_deref().filter(|_| !reached.is_anywhere);
            let outputs = sql.and_then(|sql| definition::outputs(sql, self));
            outputs.is_some_and(|outputs| outputs.worst() < Restriction::Masked)
        };
        let reads = self.speaks_of_restricted(body, reached.but) && !is_clean();
        reads.then(|| "reads what you may not read".to_string())
    }

    /// Why nothing may be given to a function, or taken from it. A polymorphic argument takes the type of what is given.
    fn signature_denied(&self, function: &Function, road: Road, reached: &mut Reached<'_>) -> Option<String> {
        let is_code = |name: &&TypeName| &*name.schema == PG_CATALOG && CODE_TYPES.contains(&&*name.name);
        let counts = |name: &&TypeName| !(types::is_polymorphic(name) || road == Road::Behind && is_code(name));
        if let Some(why) = function.arguments.iter().filter(counts).find_map(|name| self.converted(name, reached)) {
            return Some(format!("takes a type that {why}"));
        }
        let why = function.returns.iter().filter(counts).find_map(|name| self.converted(name, reached))?;
        Some(format!("returns a type that {why}"))
    }

    /// Why a function behind a cast, an operator, a type or an aggregate may not run, if it may not.
    fn reference_denied(&self, function: &FunctionRef, reached: &mut Reached<'_>) -> Option<String> {
        match function {
            FunctionRef::BuiltIn(name) => {
                let denied = reached.question == Question::Runs && functions::standing(name) != Standing::Allowed;
                denied.then(|| format!("runs {name}()"))
            }
            FunctionRef::User(id) => match self.catalog.function(*id) {
                Some(function) => {
                    let why = self.reached(function, Road::Behind, reached)?;
                    Some(format!("runs {}(), which {why}", function.name))
                }
                None => Some("runs a function that nothing is known of".to_string()),
            },
        }
    }

    /// Why a body in a schema may not run, as far as its words show.
    fn body_denied(&self, body: &Words, home: &str, reached: &mut Reached<'_>) -> Option<String> {
        let runs = reached.question == Question::Runs;
        if body.has_escapes() {
            return Some("spells names with escapes (U&)".to_string());
        }
        if body.mention("execute") && (runs || self.policy.has_rules()) {
            return Some("runs text that it makes up (EXECUTE)".to_string());
        }
        if runs && let Some(call) = body.called().find(|name| self.is_denied_built_in(name)) {
            return Some(format!("calls {call}()"));
        }
        let path = self.catalog.search_path();
        let is_anywhere = reached.is_anywhere;
        let is_meant = |schema: &str| {
            is_anywhere || schema == home || path.iter().any(|known| known == schema) || body.mention(schema)
        };
        // A name that is more than one word may be called too.
        let odd = self.odd_functions().iter().map(String::as_str).filter(|name| body.mention(name));
        let called = body.called().chain(odd).flat_map(|name| self.catalog.functions(name));
        for function in called.filter(|function| is_meant(&function.schema)) {
            if let Some(why) = self.reached(function, Road::Called, reached) {
                return Some(format!("calls {}(), which {why}", function.name));
            }
        }
        let operators = self.catalog.all_operators();
        for operator in operators.filter(|one| body.compute_with(&one.name) && is_meant(&one.schema)) {
            if let Some(why) = operator.functions.iter().find_map(|function| self.reference_denied(function, reached)) {
                return Some(format!("computes with {}, which {why}", operator.name));
            }
        }
        let types = self.catalog.user_types().filter(|(name, _)| body.mention(&name.name) && is_meant(&name.schema));
        for (name, known) in types {
            // Of a table only its columns' types count here: whether it may be read is asked by itself.
            let of_columns = || known.parts.iter().filter(|part| &*part.schema != PG_CATALOG);
            let why = match known.row_of {
                Some(_) => of_columns().find_map(|part| self.converted(part, reached)),
                None => self.converted(&name, reached),
            };
            if let Some(why) = why {
                return Some(format!("uses the type {name}, which {why}"));
            }
        }
        None
    }

    /// The names of functions that are more than one plain word.
    fn odd_functions(&self) -> &[String] {
        let odd = || self.catalog.function_names().filter(|name| !is_plain(name)).map(str::to_owned).collect();
        self.odd_functions.get_or_init(odd)
    }

    /// Whether a text names a relation that is hidden, or one that has hidden or masked columns; `but` is the one that is just being
    /// looked at.
    pub(crate) fn speaks_of_restricted(&self, body: &Words, but: Option<&RelationName>) -> bool {
        let named = self.catalog.relations().map(|relation| &relation.name);
        let mut named = named.filter(|name| but != Some(*name) && body.mention(&name.name));
        named.any(|name| match self.look_at(name) {
            Some(Sight::Seen(seen)) => seen.to_views.worst() >= Restriction::Masked,
            _ => true,
        })
    }

    /// Whether a text runs another text as SQL, which may be put together.
    pub(crate) fn runs_text(&self, text: &Words) -> bool {
        text.called().any(functions::runs_text)
    }

    /// Whether a text calls a built-in that no statement may call.
    pub(crate) fn calls_denied(&self, text: &Words) -> bool {
        text.called().any(|name| self.is_denied_built_in(name))
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

    fn converted(&self, name: &TypeName, reached: &mut Reached<'_>) -> Option<String> {
        if !reached.types.insert(name.clone()) {
            return None;
        }
        if &*name.schema == PG_CATALOG {
            let refusal = || types::refusal(&name.name).map(str::to_string);
            let refusal = if reached.question == Question::Runs { refusal() } else { None };
            return refusal.or_else(|| {
                self.catalog.casts_to(&name.name).iter().find_map(|cast| self.reference_denied(cast, reached))
            });
        }
        let known = self.catalog.user_type(&name.schema, &name.name)?;
        reached.further(|reached| self.user_type_denied(known, &name.schema, reached))
    }

    fn user_type_denied(&self, known: &UserType, schema: &str, reached: &mut Reached<'_>) -> Option<String> {
        if self.restriction_of_rows(known, &mut HashSet::new()) >= Restriction::Masked {
            return Some("holds rows of a table with columns that you may not read".to_string());
        }
        known
            .functions
            .iter()
            .find_map(|function| self.reference_denied(function, reached))
            .or_else(|| known.checks.as_deref().and_then(|checks| self.body_denied(checks, schema, reached)))
            .or_else(|| known.parts.iter().find_map(|part| self.converted(part, reached)))
    }

    /// How restricted the tables are whose rows a type holds, at any depth: hidden where one is hidden, masked where one has columns
    /// that the caller may not read.
    pub(crate) fn rows_within(&self, name: &TypeName) -> Restriction {
        self.rows_of(name, &mut HashSet::new())
    }

    fn rows_of(&self, name: &TypeName, seen: &mut HashSet<TypeName>) -> Restriction {
        if &*name.schema == PG_CATALOG || !seen.insert(name.clone()) {
            return Restriction::Free;
        }
        let known = self.catalog.user_type(&name.schema, &name.name);
        known.map_or(Restriction::Free, |known| self.restriction_of_rows(known, seen))
    }

    fn restriction_of_rows(&self, known: &UserType, seen: &mut HashSet<TypeName>) -> Restriction {
        let own = known.row_of.as_ref().map_or(Restriction::Free, |relation| match self.look_at(relation) {
            Some(Sight::Seen(seen)) if seen.to_views.worst() >= Restriction::Masked => Restriction::Masked,
            Some(Sight::Seen(_)) => Restriction::Free,
            _ => Restriction::Hidden,
        });
        known.parts.iter().map(|part| self.rows_of(part, seen)).fold(own, Restriction::max)
    }

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

    /// Why no statement may run at all, if none may: what runs on values of PostgreSQL's own types runs wherever they stand, and
    /// where that is the guard can't tell.
    pub(crate) fn hook_denied(&self) -> Option<&str> {
        let denied = || self.hooks_denied(|hook| hook.is_anywhere).into_iter().next();
        self.hook_denied.get_or_init(denied).as_deref()
    }

    /// The code of the database's own that PostgreSQL may run where no statement names it, and that the caller may not call: what
    /// each belongs to and why.
    pub fn denied_hooks(&self) -> Vec<String> {
        self.hooks_denied(|_| true)
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

/// Whether a word is the name of a system catalog or view that statements may not read.
fn is_of_system(word: &str) -> bool {
    let is_name = word.starts_with("pg_") && !matches!(word, PG_CATALOG | "pg_temp");
    word == INFORMATION_SCHEMA
        || is_name
            && functions::standing(word) == Standing::Unknown
            && types::refusal(word).is_some()
            && !HARMLESS_VIEWS.contains(&word)
}
