//! One caller's rules on one database: which tables, columns and functions, and what is masked.

use std::fmt;
use std::str::FromStr;

use crate::catalog::{Function, RelationName};
use crate::functions::{self, Standing};

/// Rules that hold together: denies and masks add up, every allow list must agree, and deny beats allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Tables that are absent for the caller: `schema.table`.
    pub deny_tables: Vec<Pattern<2>>,
    /// Lists of tables; what isn't in each of them is absent. No list allows all.
    pub allow_tables: Vec<Vec<Pattern<2>>>,
    /// Columns that are absent for the caller: `schema.table.column`.
    pub deny_columns: Vec<Pattern<3>>,
    /// Columns whose values the caller sees as `***`.
    pub mask_columns: Vec<Pattern<3>>,
    /// Lists of functions that may be called though they wouldn't be by default; one must stand in each list.
    pub allow_functions: Vec<Vec<Pattern<2>>>,
    /// Whether columns that are named like secrets are masked where no rule names them.
    pub mask_sensitive: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            deny_tables: Vec::new(),
            allow_tables: Vec::new(),
            deny_columns: Vec::new(),
            mask_columns: Vec::new(),
            allow_functions: Vec::new(),
            mask_sensitive: true,
        }
    }
}

/// How the name of a column that holds a secret ends.
const SENSITIVE: &[&str] = &[
    "password",
    "passwd",
    "password_hash",
    "secret",
    "api_key",
    "access_token",
    "refresh_token",
    "auth_token",
    "private_key",
];

impl Policy {
    /// No rules at all, not even the one about names of secrets.
    pub(crate) fn none() -> Self {
        Self { mask_sensitive: false, ..Self::default() }
    }

    /// The rules without those that hide anything.
    pub(crate) fn masks_alone(&self) -> Self {
        Self { deny_tables: Vec::new(), allow_tables: Vec::new(), deny_columns: Vec::new(), ..self.clone() }
    }

    pub(crate) fn denies_table(&self, name: &RelationName) -> bool {
        self.deny_tables.iter().any(|pattern| pattern.matches([&name.schema, &name.name]))
    }

    /// Whether every allow list has the table.
    pub(crate) fn allows_table(&self, name: &RelationName) -> bool {
        let parts = [name.schema.as_str(), name.name.as_str()];
        self.allow_tables.iter().all(|list| list.iter().any(|pattern| pattern.matches(parts)))
    }

    /// Whether an allow list names the table itself, rather than many by a wildcard.
    pub(crate) fn names_table(&self, name: &RelationName) -> bool {
        self.allow_tables.iter().flatten().any(|pattern| pattern.is_exact() && pattern.matches_table(name))
    }

    /// Whether it hides tables or columns.
    pub fn hides(&self) -> bool {
        !(self.deny_tables.is_empty() && self.allow_tables.is_empty() && self.deny_columns.is_empty())
    }

    /// Whether there are any rules about tables and columns.
    pub(crate) fn has_rules(&self) -> bool {
        let Self { deny_tables, allow_tables, deny_columns, mask_columns, allow_functions: _, mask_sensitive: _ } =
            self;
        !(deny_tables.is_empty() && allow_tables.is_empty() && deny_columns.is_empty() && mask_columns.is_empty())
    }

    pub(crate) fn denies_column(&self, table: &RelationName, column: &str) -> bool {
        self.deny_columns.iter().any(|pattern| pattern.matches([&table.schema, &table.name, column]))
    }

    pub(crate) fn masks_column(&self, table: &RelationName, column: &str) -> bool {
        self.mask_columns.iter().any(|pattern| pattern.matches([&table.schema, &table.name, column]))
    }

    /// Whether any rule about columns speaks of the table.
    pub(crate) fn has_column_rule(&self, table: &RelationName) -> bool {
        self.deny_columns.iter().chain(&self.mask_columns).any(|pattern| pattern.speaks_of(table))
    }

    /// Whether a column of text or bytes is named like a secret, and that counts.
    pub(crate) fn is_sensitive(&self, column: &str) -> bool {
        let name = column.to_lowercase();
        self.mask_sensitive && SENSITIVE.iter().any(|end| name.ends_with(end))
    }

    pub(crate) fn allows_function(&self, function: &Function) -> bool {
        self.lists_function(&function.schema, &function.name)
    }

    pub(crate) fn allows_built_in(&self, name: &str) -> bool {
        self.lists_function("pg_catalog", name)
    }

    fn lists_function(&self, schema: &str, name: &str) -> bool {
        !self.allow_functions.is_empty()
            && self.allow_functions.iter().all(|list| list.iter().any(|pattern| pattern.matches([schema, name])))
    }
}

/// Names separated by dots, each with `*` for any run of characters and `?` for any one; a wildcard never crosses a dot.
/// A name that begins with a double quote goes on to the next one, may hold dots, and stands for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern<const PARTS: usize> {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Exactly(String),
    Like(Vec<char>),
}

/// Why a pattern can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct PatternError {
    text: String,
    expected: &'static str,
}

impl<const PARTS: usize> Pattern<PARTS> {
    pub(crate) fn matches(&self, names: [&str; PARTS]) -> bool {
        self.parts.iter().zip(names).all(|(part, name)| part.matches(name))
    }

    /// Whether it has no wildcards, and so stands for one name.
    fn is_exact(&self) -> bool {
        self.parts.iter().all(|part| match part {
            Part::Exactly(_) => true,
            Part::Like(pattern) => !pattern.iter().any(|one| matches!(one, '*' | '?')),
        })
    }
}

impl Pattern<2> {
    /// Whether it stands for a table.
    pub fn matches_table(&self, name: &RelationName) -> bool {
        self.matches([&name.schema, &name.name])
    }

    /// The function of PostgreSQL's own that this names and that no policy can allow, where it is one.
    pub fn names_denied_function(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [schema, Part::Like(name)] if schema.matches("pg_catalog") => {
                let name: String = name.iter().collect();
                (functions::standing(&name) == Standing::Denied).then_some(self.text.as_str())
            }
            _ => None,
        }
    }
}

impl Pattern<3> {
    fn speaks_of(&self, table: &RelationName) -> bool {
        self.parts.iter().zip([&table.schema, &table.name]).all(|(part, name)| part.matches(name))
    }

    /// Whether it stands for a column.
    pub fn matches_column(&self, table: &RelationName, column: &str) -> bool {
        self.matches([&table.schema, &table.name, column])
    }
}

impl Part {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exactly(expected) => expected == name,
            Self::Like(pattern) => is_like(&name.chars().collect::<Vec<_>>(), pattern),
        }
    }
}

impl<const PARTS: usize> FromStr for Pattern<PARTS> {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let expected = match PARTS {
            2 => "of the form schema.name",
            _ => "of the form schema.table.column",
        };
        let error = || PatternError { text: text.to_string(), expected };
        let parts = split(text).ok_or_else(error)?;
        if parts.len() != PARTS {
            return Err(error());
        }
        Ok(Self { text: text.to_string(), parts })
    }
}

impl<const PARTS: usize> fmt::Display for Pattern<PARTS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn split(text: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (name, after) = unquoted(quoted)?;
                (Part::Exactly(name), after)
            }
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                (Part::Like(rest[..end].chars().collect()), &rest[end..])
            }
        };
        if matches!(&part, Part::Like(pattern) if pattern.is_empty()) {
            return None;
        }
        parts.push(part);
        match after.strip_prefix('.') {
            Some(after) => rest = after,
            None if after.is_empty() => return Some(parts),
            None => return None,
        }
    }
}

/// The name up to its closing quote, and what follows that; a doubled quote stands for one.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let quote = rest.find('"')?;
        name.push_str(&rest[..quote]);
        rest = &rest[quote + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return (!name.is_empty()).then_some((name, rest)),
        }
    }
}

/// Whether a name is like a pattern. Takes at most their lengths multiplied: only the last `*` is ever tried again.
fn is_like(name: &[char], pattern: &[char]) -> bool {
    let (mut at, mut place) = (0, 0);
    let mut star = None;
    while at < name.len() {
        match pattern.get(place) {
            Some('*') => {
                star = Some((place, at));
                place += 1;
            }
            Some(one) if *one == '?' || *one == name[at] => {
                at += 1;
                place += 1;
            }
            _ => {
                let Some((before, taken)) = star else { return false };
                star = Some((before, taken + 1));
                (place, at) = (before + 1, taken + 1);
            }
        }
    }
    pattern[place..].iter().all(|one| *one == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_never_crosses_a_dot() {
        let check = |pattern: &str, names: [&str; 2], expected: bool| {
            let pattern: Pattern<2> = pattern.parse().unwrap();
            assert_eq!(pattern.matches(names), expected, "{pattern} {names:?}");
        };
        check("public.users", ["public", "users"], true);
        check("public.users", ["public", "Users"], false);
        check("public.*", ["public", "a.b"], true);
        check("*.user?", ["audit", "users"], true);
        check("*.user?", ["audit", "user"], false);
        check("p*c.*_log*", ["public", "the_log_2"], true);
        check("p*c.*_log", ["public", "the_log_2"], false);
        check("public.\"a.b\"", ["public", "a.b"], true);
        check("public.\"a*\"", ["public", "ab"], false);
        check("public.\"say \"\"a\"\"\"", ["public", "say \"a\""], true);
        check("*.*", ["", ""], true);
    }

    #[test]
    fn a_pattern_has_its_parts() {
        let refused = |text: &str| assert!(text.parse::<Pattern<2>>().is_err(), "{text}");
        for text in ["users", "a.b.c", "a.", ".b", "", "a.\"b", "a.\"b\"c", "a.\"\""] {
            refused(text);
        }
        let error = "users".parse::<Pattern<3>>().unwrap_err();
        assert_eq!(error.to_string(), "\"users\" is not of the form schema.table.column");
    }

    #[test]
    fn secrets_are_known_by_how_their_names_end() {
        let policy = Policy::default();
        for name in ["password", "user_password", "Password_Hash", "stripe_api_key", "x_auth_token"] {
            assert!(policy.is_sensitive(name), "{name}");
        }
        for name in ["password_changed_at", "secrets", "token", "keys"] {
            assert!(!policy.is_sensitive(name), "{name}");
        }
        assert!(!Policy::none().is_sensitive("password"));
    }

    #[test]
    fn what_is_denied_for_all_cannot_be_allowed() {
        let named = |text: &str| text.parse::<Pattern<2>>().unwrap().names_denied_function().is_some();
        assert!(named("pg_catalog.pg_sleep"));
        assert!(!named("pg_catalog.pg_get_viewdef"));
        assert!(!named("public.pg_sleep"));
    }
}
