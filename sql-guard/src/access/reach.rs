//! What a function or a type of the database's own leads to, as far as what is known of it shows: whether it may run, and whether it
//! shows what the caller may not see.

use std::collections::HashSet;

use super::{Access, Sight};
use crate::catalog::{Function, FunctionRef, ObjectId, Relation, RelationName, TypeName, UserType, Volatility};
use crate::columns::Restriction;
use crate::functions::{self, Standing};
use crate::statement::definition;
use crate::system::{HARMLESS_VIEWS, INFORMATION_SCHEMA, PG_CATALOG};
use crate::types;
use crate::words::{Words, is_plain};

/// Types that only code behind others takes and gives: input, output and support functions.
const CODE_TYPES: &[&str] = &["cstring", "internal"];

/// Why something that names what the caller may not see may not run, without the name.
const READS_RESTRICTED: &str = "reads what you may not read";

/// How many functions and types may stand behind one another before the outermost is refused.
const MAX_DEPTH: usize = 32;

/// What is asked of everything that a function or a type leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    /// Whether it may run.
    Runs,
    /// Whether it may run where nobody is shown what it reads and finds out: whether it changes anything.
    Acts,
    /// The same where it is only planned: PostgreSQL computes beforehand what is IMMUTABLE, and finds it in the bodies of SQL functions
    /// and in defaults of arguments too.
    Plans,
    /// Whether it shows what the caller may not see; whether it may run is another's to answer for.
    Shows,
}

/// How a function is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Road {
    /// By its name.
    Called,
    /// As the code of an operator, a cast, a type or an aggregate.
    Behind,
}

/// What has been reached from a function, an operator or a type, so that each thing is looked at once. What leads back to itself
/// is judged by the rest of what it does.
#[derive(Debug)]
pub(crate) struct Reached<'a> {
    question: Question,
    /// The relation for which it is asked: that it is spoken of says nothing, since it is just being looked at.
    but: Option<&'a RelationName>,
    /// Whether names are looked up under another search_path than the session's, because a function on the way has settings of its
    /// own.
    is_anywhere: bool,
    /// Whether a text on the way could be a query of what the caller may not see, so that nothing may run a text.
    pub(super) may_tell: bool,
    functions: HashSet<(ObjectId, Question, bool, bool)>,
    types: HashSet<(TypeName, Question)>,
    depth: usize,
}

impl<'a> Reached<'a> {
    pub(crate) fn new(question: Question, but: Option<&'a RelationName>) -> Self {
        Self {
            question,
            but,
            is_anywhere: false,
            may_tell: false,
            functions: HashSet::new(),
            types: HashSet::new(),
            depth: 0,
        }
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

    /// Asks another question of what is looked at.
    fn asking(&mut self, question: Question, look: impl FnOnce(&mut Self) -> Option<String>) -> Option<String> {
        let before = std::mem::replace(&mut self.question, question);
        let found = look(self);
        self.question = before;
        found
    }
}

impl Access {
    pub(crate) fn reached(&self, function: &Function, road: Road, reached: &mut Reached<'_>) -> Option<String> {
        let around = (reached.is_anywhere, reached.may_tell);
        reached.is_anywhere |= function.has_settings;
        let why = match reached.functions.insert((function.id, reached.question, reached.is_anywhere, reached.may_tell))
        {
            true if reached.question == Question::Plans => {
                reached.further(|reached| self.judge_planned(function, reached))
            }
            true => reached.further(|reached| self.judge(function, road, reached)),
            false => None,
        };
        (reached.is_anywhere, reached.may_tell) = around;
        why
    }

    fn judge(&self, function: &Function, road: Road, reached: &mut Reached<'_>) -> Option<String> {
        let (runs, is_seen) = (reached.question != Question::Shows, reached.question != Question::Acts);
        if runs && function.is_procedure {
            return Some("is a procedure".to_string());
        }
        if runs
            && is_seen
            && let Some(why) = self.signature_denied(function, road, reached)
        {
            return Some(why);
        }
        if self.policy.allows_function(function) {
            return None;
        }
        if is_seen && function.returns.iter().any(|name| self.rows_within(name) >= Restriction::Masked) {
            return Some("returns rows of a table that you may not read whole".to_string());
        }
        match function.extension.as_deref().and_then(|extension| functions::of_extension(extension, &function.name)) {
            Some(true) => return None,
            Some(false) if runs || reached.may_tell => return Some("reaches beyond its arguments".to_string()),
            _ => {}
        }
        if runs && function.volatility == Volatility::Volatile {
            return Some("is VOLATILE, so it may change something".to_string());
        }
        if runs && function.is_security_definer {
            return Some("runs with its owner's rights (SECURITY DEFINER)".to_string());
        }
        if function.is_opaque && (runs || self.has_rules()) {
            return Some("is written in a language that can't be looked through".to_string());
        }
        if let Some(why) = function.uses.iter().find_map(|used| self.reference_denied(used, reached)) {
            return Some(why);
        }
        let body = function.body.as_deref()?;
        let why = self.body_denied(body, &function.schema, reached);
        why.or_else(|| self.reading_denied(function, body, reached).filter(|_| is_seen))
    }

    /// Why what PostgreSQL computes beforehand of a call may not run, if it may not.
    fn judge_planned(&self, function: &Function, reached: &mut Reached<'_>) -> Option<String> {
        if self.policy.allows_function(function) {
            return None;
        }
        // Its constant results may be compared or converted where it stands.
        let mut types = function.arguments.iter().chain(&function.returns);
        if let Some(why) = types.find_map(|name| self.converted(name, reached)) {
            return Some(format!("takes or returns a type that {why}"));
        }
        if function.volatility == Volatility::Immutable {
            return reached.asking(Question::Acts, |reached| self.judge(function, Road::Behind, reached));
        }
        // PostgreSQL puts the body of such a function in the call's place.
        let is_inlined = function.sql.is_some() && !function.is_security_definer && !function.has_settings;
        let words = if is_inlined { &function.body } else { &function.defaults };
        self.body_denied(words.as_deref()?, &function.schema, reached)
    }

    /// Why a function may not read what its body names, if it may not. A body that is SQL is looked at as a view's definition is;
    /// any other may do anything with the tables that it names.
    fn reading_denied(&self, function: &Function, body: &Words, reached: &Reached<'_>) -> Option<String> {
        // Statistics hold values, and catalogs hold names.
        let counts = |word: &&str| reached.question == Question::Runs || self.has_rules() || word.contains("stat");
        if let Some(name) = body.all().filter(counts).find(|word| is_of_system(word)) {
            return Some(format!("reads the system catalog {name}"));
        }
        // Names of what is hidden, or whether there is anything of that name.
        if self.has_rules()
            && let Some(name) = body.all().find(|word| types::looks_names_up(word))
        {
            return Some(format!("looks names up ({name})"));
        }
        let is_clean = || {
            let sql = function.sql.as_deref().filter(|_| !reached.is_anywhere);
            let outputs = sql.and_then(|sql| definition::outputs(sql, self));
            outputs.is_some_and(|outputs| outputs.worst() < Restriction::Masked)
        };
        let reads = self.speaks_of_restricted(body, reached.but) && !is_clean();
        reads.then(|| READS_RESTRICTED.to_string())
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
    pub(crate) fn reference_denied(&self, function: &FunctionRef, reached: &mut Reached<'_>) -> Option<String> {
        match function {
            FunctionRef::BuiltIn(name) => {
                let denied = match reached.question {
                    Question::Runs | Question::Acts => functions::standing(name) != Standing::Allowed,
                    // What is IMMUTABLE among them is harmless, and the others don't run.
                    Question::Plans => false,
                    Question::Shows => reached.may_tell && functions::runs_text(name),
                };
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
    pub(super) fn body_denied(&self, body: &Words, home: &str, reached: &mut Reached<'_>) -> Option<String> {
        let runs = matches!(reached.question, Question::Runs | Question::Acts);
        if body.has_escapes() {
            return Some("spells names with escapes (U&)".to_string());
        }
        let shows = reached.question == Question::Shows;
        if body.mention("execute") && (runs || shows && self.has_rules()) {
            return Some("runs text that it makes up (EXECUTE)".to_string());
        }
        if shows {
            reached.may_tell |= self.has_rules() || self.speaks_of_restricted(body, reached.but);
            if reached.may_tell && self.runs_text(body) {
                return Some("runs a text as SQL".to_string());
            }
            if self.has_rules() && body.called().any(functions::tells_of_others) {
                return Some("tells of objects or sessions that may be hidden".to_string());
            }
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
        for (target, function) in self.catalog.casts_of_built_ins() {
            if types::spellings(target).any(|name| body.mention(&name))
                && let Some(why) = self.reference_denied(function, reached)
            {
                return Some(format!("may cast to {target}, which {why}"));
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
                // Its name may be that of a hidden table.
                return Some(match self.rows_within(&name) {
                    Restriction::Hidden => READS_RESTRICTED.to_string(),
                    _ => format!("uses the type {name}, which {why}"),
                });
            }
        }
        None
    }

    /// The names of functions that are more than one plain word.
    fn odd_functions(&self) -> &[String] {
        let odd = || self.catalog.function_names().filter(|name| !is_plain(name)).map(str::to_owned).collect();
        self.odd_functions.get_or_init(odd)
    }

    /// Whether a text names a relation that is hidden, one that may not be read, or one that has hidden or masked columns; `but` is
    /// the one that is just being looked at.
    pub(crate) fn speaks_of_restricted(&self, body: &Words, but: Option<&RelationName>) -> bool {
        let named = self.catalog.relations().map(|relation| &relation.name);
        let mut named = named.filter(|name| but != Some(*name) && body.mention(&name.name));
        named.any(|name| match self.look_at(name) {
            Some(Sight::Seen(seen)) => seen.denied.is_some() || seen.to_views.worst() >= Restriction::Masked,
            _ => true,
        })
    }

    /// Whether the plan of a statement with one of these functions in FROM could show what the caller may not see, or how policies
    /// of row-level security decide: a body in SQL is planned in the call's place, and what it calls likewise.
    pub fn plan_shows_restricted(&self, functions: &[ObjectId]) -> bool {
        let (mut waiting, mut seen) = (functions.to_vec(), HashSet::new());
        while let Some(id) = waiting.pop() {
            if !seen.insert(id) {
                continue;
            }
            let Some(function) = self.catalog.function(id) else { return true };
            let (Some(_), Some(body)) = (&function.sql, function.body.as_deref()) else { continue };
            let mut read = self.catalog.relations().filter(|relation| body.mention(&relation.name.name));
            if body.has_escapes() || read.any(|relation| !self.is_plain(relation)) {
                return true;
            }
            let odd = self.odd_functions().iter().map(String::as_str).filter(|name| body.mention(name));
            let called = body.called().chain(odd).flat_map(|name| self.catalog.functions(name));
            waiting.extend(called.map(|function| function.id));
        }
        false
    }

    /// Whether a relation is read as it stands, and the caller may see all of it.
    fn is_plain(&self, relation: &Relation) -> bool {
        match self.look_at(&relation.name) {
            Some(Sight::Seen(seen)) => {
                seen.is_readable
                    && !seen.runs_code
                    && seen.columns.worst() < Restriction::Masked
                    && !(relation.view.is_some() && self.restricts())
            }
            _ => false,
        }
    }

    /// Whether a text runs another text as SQL, which may be put together.
    pub(crate) fn runs_text(&self, text: &Words) -> bool {
        let reaches_far = |name: &str| self.catalog.functions(name).iter().any(functions::reaches_far);
        text.called().any(|name| functions::runs_text(name) || reaches_far(name))
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

    pub(crate) fn converted(&self, name: &TypeName, reached: &mut Reached<'_>) -> Option<String> {
        if !reached.types.insert((name.clone(), reached.question)) {
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
        reached.further(|reached| self.user_type_denied(known, name, reached))
    }

    fn user_type_denied(&self, known: &UserType, name: &TypeName, reached: &mut Reached<'_>) -> Option<String> {
        let is_shown = matches!(reached.question, Question::Runs | Question::Shows);
        if is_shown && self.rows_within(name) >= Restriction::Masked {
            return Some("holds rows of a table with columns that you may not read".to_string());
        }
        // Comparing values that are known beforehand runs whatever compares.
        let at_once = if reached.question == Question::Plans { Question::Acts } else { reached.question };
        reached
            .asking(at_once, |reached| {
                known.functions.iter().find_map(|function| self.reference_denied(function, reached))
            })
            .or_else(|| known.calls.iter().find_map(|function| self.reference_denied(function, reached)))
            .or_else(|| known.converts_to.iter().find_map(|name| self.converted(name, reached)))
            .or_else(|| known.checks.as_deref().and_then(|checks| self.body_denied(checks, &name.schema, reached)))
            .or_else(|| known.parts.iter().find_map(|part| self.converted(part, reached)))
    }
}

/// Whether a word is the name of a system catalog or view that statements may not read.
pub(super) fn is_of_system(word: &str) -> bool {
    let is_name = word.starts_with("pg_") && !matches!(word, PG_CATALOG | "pg_temp");
    word == INFORMATION_SCHEMA
        || is_name
            && functions::standing(word) == Standing::Unknown
            && types::refusal(word).is_some()
            && !HARMLESS_VIEWS.contains(&word)
}
