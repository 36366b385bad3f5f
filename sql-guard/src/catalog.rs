//! What the guard asks about a database: the small trait that a cached catalog answers, and the facts in its answers.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use crate::types::PG_CATALOG;

/// The name of a relation with its schema, exactly as PostgreSQL stores it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelationName {
    /// The schema; empty only in [`crate::Advice`], for an unqualified name that no catalog has resolved.
    pub schema: String,
    /// The relation.
    pub name: String,
}

/// The name of a type with its schema, exactly as PostgreSQL stores it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TypeName {
    /// The schema.
    pub schema: Arc<str>,
    /// The type.
    pub name: Arc<str>,
}

/// PostgreSQL's number of an object.
pub type ObjectId = u32;

/// A table, view or other relation that the database's role may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its name.
    pub name: RelationName,
    /// Its columns in order, without PostgreSQL's system columns.
    pub columns: Vec<Column>,
    /// The tables that it is a partition of or inherits from.
    pub parents: Vec<RelationName>,
    /// Its partitions and the tables that inherit from it.
    pub children: Vec<RelationName>,
    /// What stands behind it, where it is a view or materialised view.
    pub view: Option<View>,
    /// Whether reading it may run code of the database's own that no statement shows, as row-level security does.
    pub runs_code: bool,
}

/// A column of a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub type_name: TypeName,
    /// Whether the role may read it. Those that it may not are listed all the same: they have a place in the row.
    pub is_readable: bool,
    /// The words of the expression that it is generated from.
    pub generated_from: Option<Arc<Words>>,
}

/// What a view reads and runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// The SELECT, as `pg_get_viewdef` prints it for a session with the catalog's search_path.
    pub definition: String,
    /// The relations that it reads directly, whether or not the role may read them.
    pub reads: Vec<RelationName>,
    /// Functions of the database's own that it calls, those of its operators and casts among them.
    pub functions: Vec<ObjectId>,
}

/// A function behind an operator, a cast, a type or an aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FunctionRef {
    /// One of PostgreSQL's own, by its name.
    BuiltIn(String),
    /// One of the database's own.
    User(ObjectId),
}

/// A function, aggregate or procedure of the database's own: any that did not come with PostgreSQL itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its number.
    pub id: ObjectId,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Fewest arguments of a call; those with defaults may be left out.
    pub least: usize,
    /// Most arguments of a call; nothing where the last one is VARIADIC.
    pub most: Option<usize>,
    /// The types of its arguments.
    pub arguments: Vec<TypeName>,
    /// The types of its result: its own, and those of its OUT arguments.
    pub returns: Vec<TypeName>,
    /// Whether a call may change anything, as PostgreSQL was told.
    pub volatility: Volatility,
    /// Whether it runs with its owner's rights.
    pub is_security_definer: bool,
    /// Whether it is a procedure, which no query can call.
    pub is_procedure: bool,
    /// The extension that it came with.
    pub extension: Option<String>,
    /// The words of its body, where it is written in a language that shows them.
    pub body: Option<Arc<Words>>,
    /// The functions that an aggregate works with.
    pub uses: Vec<FunctionRef>,
}

impl Function {
    /// Whether a call may leave something behind in its session. What came with an extension and is said to change nothing doesn't.
    pub(crate) fn leaves_traces(&self) -> bool {
        self.extension.is_none() || self.volatility == Volatility::Volatile
    }
}

/// `pg_proc.provolatile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Volatility {
    /// The result depends on the arguments alone.
    Immutable,
    /// The result is the same all through a statement.
    Stable,
    /// Anything may happen.
    Volatile,
}

/// An operator of the database's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Its schema.
    pub schema: String,
    /// What it runs.
    pub function: FunctionRef,
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if &*self.schema != PG_CATALOG {
            write!(f, "{}.", self.schema)?;
        }
        f.write_str(&self.name)
    }
}

/// A cast of the database's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cast {
    /// What it converts from.
    pub source: TypeName,
    /// What it converts to.
    pub target: TypeName,
    /// What it runs.
    pub function: FunctionRef,
    /// Whether it may run where nobody wrote it: `pg_cast.castcontext` isn't `e`.
    pub is_implicit: bool,
}

/// A type of the database's own, without its array type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserType {
    /// What a conversion to or from it may run: its own input and support functions, those of casts, those that a domain's
    /// CHECK calls.
    pub functions: Vec<FunctionRef>,
    /// The words of a domain's CHECK.
    pub checks: Option<Arc<Words>>,
    /// The types that it is made of: a domain's base, a composite's fields, a range's element.
    pub parts: Vec<TypeName>,
    /// Whether it is a domain.
    pub is_domain: bool,
    /// The relation of which it is the row type.
    pub row_of: Option<RelationName>,
}

/// The words of a function's body or of a condition, in lower case. Strings and comments count too: a body may run what it
/// spells out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    all: HashSet<String>,
    called: HashSet<String>,
    has_star: bool,
}

impl Words {
    /// The words of `text`, and which of them stand before a parenthesis.
    pub fn of(text: &str) -> Self {
        let is_word = |one: char| one.is_alphanumeric() || one == '_' || one == '$';
        let has_star = text.replace("(*)", "").contains('*');
        let mut words = Self { has_star, ..Self::default() };
        let mut rest = text;
        while let Some(start) = rest.find(is_word) {
            let tail = &rest[start..];
            let end = tail.find(|one| !is_word(one)).unwrap_or(tail.len());
            let word = tail[..end].to_lowercase();
            rest = &tail[end..];
            // A closing quote may stand between a quoted name and its arguments.
            if rest.trim_start_matches('"').trim_start().starts_with('(') {
                words.called.insert(word.clone());
            }
            words.all.insert(word);
        }
        words
    }

    /// The words that stand before a parenthesis.
    pub(crate) fn called(&self) -> impl Iterator<Item = &str> {
        self.called.iter().map(String::as_str)
    }

    /// Whether a `*` stands in the text that isn't the one of `count(*)`.
    pub(crate) fn has_star(&self) -> bool {
        self.has_star
    }

    /// Whether every word of a name stands in the text.
    pub(crate) fn mention(&self, name: &str) -> bool {
        if name.chars().all(|one| one.is_ascii_alphanumeric() || one == '_') {
            return self.all.contains(name.to_ascii_lowercase().as_str());
        }
        let parts = Self::of(name);
        !parts.all.is_empty() && parts.all.is_subset(&self.all)
    }
}

/// One database as its role sees it. Policy is the guard's business: what a caller may not see is here all the same.
///
/// Names are compared exactly; the guard has already folded and cut them as PostgreSQL does. The facts about functions,
/// operators, types and casts are the server's; the agent's catalog may leave them out, because [`crate::Guard::advise`] doesn't ask.
pub trait Catalog: Send + Sync {
    /// The schemas in which the session looks up unqualified names, in order. `pg_catalog` comes first where it isn't listed.
    fn search_path(&self) -> &[String];

    /// The relation of that name, or nothing.
    fn relation(&self, schema: &str, name: &str) -> Option<&Relation>;

    /// Every relation there is.
    fn relations(&self) -> Box<dyn Iterator<Item = &Relation> + '_>;

    /// All functions, aggregates and procedures of that name, in any schema. A forgotten one is a hole: a call of a built-in of
    /// the same name, or `alias.name`, could mean it.
    fn functions(&self, name: &str) -> &[Function] {
        let _ = name;
        &[]
    }

    /// A function by its number.
    fn function(&self, id: ObjectId) -> Option<&Function> {
        let _ = id;
        None
    }

    /// All operators of that name.
    fn operators(&self, name: &str) -> &[Operator] {
        let _ = name;
        &[]
    }

    /// The type of that name in a schema other than `pg_catalog`.
    fn user_type(&self, schema: &str, name: &str) -> Option<&UserType> {
        let _ = (schema, name);
        None
    }

    /// The casts of the database's own that run a function.
    fn casts(&self) -> &[Cast] {
        &[]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_strings_and_quotes_too() {
        let words = Words::of("BEGIN EXECUTE 'SELECT PG_Sleep (1)'; RETURN \"Odd\"(x) + lower; END");
        let mut called: Vec<_> = words.called().collect();
        called.sort_unstable();
        assert_eq!(called, ["odd", "pg_sleep"]);
        assert!(words.mention("lower") && words.mention("x") && words.mention("odd x"));
        assert!(!words.mention("sleep") && !words.mention("odd y") && !words.mention("%"));
    }
}
