//! The words of a function's body or of a condition: what it may name, call and compute with, whatever its language is.

use std::collections::HashSet;

/// Most bytes of a name; PostgreSQL cuts longer ones.
const NAME_BYTES: usize = 63;

/// The operators that PostgreSQL puts in by their names where a word stands.
const IMPLIED: &[(&str, &[&str])] = &[
    ("between", &["<=", ">=", "<", ">"]),
    ("case", &["="]),
    ("distinct", &["="]),
    ("ilike", &["~~*", "!~~*"]),
    ("in", &["=", "<>"]),
    ("like", &["~~", "!~~"]),
    ("natural", &["="]),
    ("nullif", &["="]),
    ("similar", &["~", "!~"]),
    ("using", &["="]),
];

/// The words of a function's body or of a condition, in lower case. Strings and comments count too: a body may run what it
/// spells out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    all: HashSet<String>,
    called: HashSet<String>,
    operators: HashSet<String>,
    /// What stands between double quotes and has no word in it.
    wordless: HashSet<String>,
    has_escapes: bool,
}

impl Words {
    /// The words of `text`, and which of them may be calls: those before a parenthesis or after a dot; where there are comments,
    /// which may stand between, all of them.
    pub fn of(text: &str) -> Self {
        let is_between = |one: char| one == '"' || one.is_whitespace();
        let has_comments = text.contains("--") || text.contains("/*");
        let operators = text.split(|one: char| !is_operator(one)).filter(|run| !run.is_empty());
        let mut words = Self {
            has_escapes: text.to_lowercase().contains("u&\""),
            operators: operators.map(str::to_owned).collect(),
            wordless: text.split('"').filter(|part| !part.contains(is_word)).map(str::to_owned).collect(),
            ..Self::default()
        };
        let mut rest = text;
        while let Some(start) = rest.find(is_word) {
            let (before, tail) = (&text[..text.len() - rest.len() + start], &rest[start..]);
            let end = tail.find(|one| !is_word(one)).unwrap_or(tail.len());
            let word = cut(&tail[..end]).to_lowercase();
            rest = &tail[end..];
            let is_before_parenthesis = rest.trim_start_matches(is_between).starts_with('(');
            if has_comments || is_before_parenthesis || before.trim_end_matches(is_between).ends_with('.') {
                words.called.insert(word.clone());
            }
            words.all.insert(word);
        }
        // A long name in quotes is cut as a whole, so that its last word may be another.
        for name in text.split('"').filter(|name| text.contains('"') && name.len() > NAME_BYTES) {
            let cut = Self::of(cut(name));
            words.called.extend(cut.all.iter().cloned());
            words.all.extend(cut.all);
        }
        words
    }

    /// The words.
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(String::as_str)
    }

    /// The words that may be names of functions that it calls.
    pub(crate) fn called(&self) -> impl Iterator<Item = &str> {
        self.called.iter().map(String::as_str)
    }

    /// Whether an operator may stand in the text, by itself or in a run of such characters, or be meant by a word of it.
    pub(crate) fn compute_with(&self, operator: &str) -> bool {
        let mut meant = IMPLIED.iter().filter(|(_, operators)| operators.contains(&operator));
        self.operators.iter().any(|run| run.contains(operator)) || meant.any(|(word, _)| self.all.contains(*word))
    }

    /// Whether a name is spelled with escapes, so that its letters are not in the text.
    pub(crate) fn has_escapes(&self) -> bool {
        self.has_escapes
    }

    /// Whether every word of a name stands in the text; or the name itself, in quotes, where it has none.
    pub(crate) fn mention(&self, name: &str) -> bool {
        if is_plain(name) {
            return self.all.contains(name);
        }
        match Self::of(name).all {
            words if !words.is_empty() => words.is_subset(&self.all),
            // One with a quote in it is doubled there: nobody can tell.
            _ => name.contains('"') || self.wordless.contains(name),
        }
    }
}

/// Whether a name is one word as [`Words`] has it.
pub(crate) fn is_plain(name: &str) -> bool {
    let is_plain = |one: u8| one.is_ascii_lowercase() || one.is_ascii_digit() || one == b'_' || one == b'$';
    !name.is_empty() && name.bytes().all(is_plain)
}

/// Whether a character may stand in a name without quotes. Whatever isn't ASCII may.
fn is_word(one: char) -> bool {
    one.is_ascii_alphanumeric() || one == '_' || one == '$' || !one.is_ascii()
}

/// The words of a text, as they are spelled.
pub(crate) fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(|one| !is_word(one)).filter(|word| !word.is_empty())
}

/// Whether an operator's name may have that character.
fn is_operator(one: char) -> bool {
    "+-*/<>=~!@#%^&|`?".contains(one)
}

fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(text: &str) -> Vec<String> {
        let words = Words::of(text);
        let mut called: Vec<_> = words.called().map(str::to_owned).collect();
        called.sort_unstable();
        called
    }

    #[test]
    fn words_are_found_in_strings_and_quotes_too() {
        let text = "BEGIN EXECUTE 'SELECT PG_Sleep (1)'; RETURN \"Odd\"(x) + lower; END";
        assert_eq!(called(text), ["odd", "pg_sleep"]);
        let words = Words::of(text);
        assert!(words.mention("lower") && words.mention("x") && words.mention("odd x") && words.mention("Odd"));
        assert!(!words.mention("sleep") && !words.mention("odd y"));
        assert!(!words.mention("%") && Words::of("SELECT \"%\"").mention("%"));
    }

    #[test]
    fn whatever_may_be_a_call_counts_as_one() {
        assert_eq!(called("SELECT c.attribute, x FROM c"), ["attribute"]);
        assert_eq!(called("SELECT \"c\" . \"attribute\""), ["attribute"]);
        assert_eq!(called("SELECT f/* */(1)"), ["1", "f", "select"]);
        assert_eq!(called(&format!("SELECT {}(1)", "f".repeat(70))), ["f".repeat(63)]);
        assert_eq!(called("SELECT 💣()"), ["💣"]);
    }

    #[test]
    fn names_are_cut_as_postgresql_cuts_them() {
        let long = "zulu ".repeat(12) + "yankee";
        assert!(Words::of(&format!("SELECT 1 FROM \"{long}\"")).mention(&long[..63]));
        // A capital beyond ASCII may be longer than its small letter.
        let kelvin = "\u{212A}".repeat(30);
        assert!(Words::of(&format!("SELECT 1 FROM {kelvin}")).mention(&kelvin[..63]));
    }

    #[test]
    fn operators_are_found_within_runs() {
        let words = Words::of("SELECT a@@@-1, u&\"\\0061\"");
        assert!(words.compute_with("@@@") && words.compute_with("@@") && !words.compute_with("#"));
        assert!(words.has_escapes() && !Words::of("SELECT a & b").has_escapes());
    }

    #[test]
    fn operators_that_words_stand_for_are_found_too() {
        let check = |text: &str, operator: &str| assert!(Words::of(text).compute_with(operator), "{text} {operator}");
        check("SELECT a BETWEEN 1 AND 2", "<=");
        check("SELECT a NOT BETWEEN SYMMETRIC 1 AND 2", ">");
        check("SELECT a IN (1)", "=");
        check("SELECT a NOT IN (1)", "<>");
        check("SELECT a LIKE b", "~~");
        check("SELECT a NOT ILIKE b", "!~~*");
        check("SELECT a SIMILAR TO b", "~");
        check("SELECT NULLIF(a, 1)", "=");
        check("SELECT CASE a WHEN 1 THEN 2 END", "=");
        check("SELECT a IS NOT DISTINCT FROM 1", "=");
        check("SELECT 1 FROM a JOIN b USING (c)", "=");
        check("SELECT 1 FROM a NATURAL JOIN b", "=");
        assert!(!Words::of("SELECT a FROM b").compute_with("="));
    }
}
