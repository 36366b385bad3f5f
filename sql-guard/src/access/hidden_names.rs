//! The names of hidden relations in texts that a catalog shows: expressions and comments.

use std::collections::HashSet;

use super::{Access, Sight};
use crate::words::split;

/// Fewest characters of a name that is looked for in comments, which have all the words of a language.
const LEAST_IN_COMMENTS: usize = 4;

/// The names of the relations that policy hides.
#[derive(Debug, Default)]
pub(super) struct HiddenNames {
    /// Those that are one word, in lower case.
    words: HashSet<String>,
    /// The others, as they are.
    odd: Vec<String>,
}

impl Access {
    /// Whether an expression has the name of a relation in it that policy hides, or one made of it and other words, as a sequence's
    /// is; `is_known` says of a name that it is something else there.
    pub fn names_hidden(&self, expression: &str, is_known: impl Fn(&str) -> bool) -> bool {
        let hidden = self.hidden_names();
        let is_odd = |name: &String| expression.contains(&quoted(name)) || is_long(name) && expression.contains(name);
        let mut unknown = split(expression).filter(|word| !is_known(word));
        !hidden.words.is_empty() && unknown.any(|word| parts(&word.to_lowercase()).any(|part| hidden.has(part)))
            || hidden.odd.iter().any(is_odd)
    }

    /// Whether a comment has the name of a relation in it that policy hides, as a word that isn't a very short one.
    pub fn comment_names_hidden(&self, comment: &str) -> bool {
        let hidden = self.hidden_names();
        let is_odd = |name: &String| is_long(name) && comment.contains(name);
        split(comment).any(|word| is_long(word) && hidden.has(&word.to_lowercase())) || hidden.odd.iter().any(is_odd)
    }

    fn hidden_names(&self) -> &HiddenNames {
        self.hidden_names.get_or_init(|| {
            let mut names = HiddenNames::default();
            let relations = self.catalog.relations().filter(|_| self.policy.has_rules());
            for relation in relations.filter(|of| matches!(self.look_at(&of.name), Some(Sight::Hidden))) {
                let name = &relation.name.name;
                match split(name).eq([name.as_str()]) {
                    true => drop(names.words.insert(name.to_lowercase())),
                    false => names.odd.push(name.clone()),
                }
            }
            names
        })
    }
}

impl HiddenNames {
    fn has(&self, word: &str) -> bool {
        self.words.contains(word)
    }
}

fn is_long(name: &str) -> bool {
    name.chars().count() >= LEAST_IN_COMMENTS
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The runs of whole words between the underscores of a name, itself among them.
fn parts(name: &str) -> impl Iterator<Item = &str> {
    let starts = std::iter::once(0).chain(name.match_indices('_').map(|(at, _)| at + 1));
    starts.flat_map(move |start| {
        let rest = &name[start..];
        let ends = rest.match_indices('_').map(|(at, _)| at).chain([rest.len()]);
        ends.map(move |end| &rest[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_made_of_others_have_them_as_parts() {
        let all: Vec<&str> = parts("a_b_c").collect();
        assert_eq!(all, ["a", "a_b", "a_b_c", "b", "b_c", "c"]);
        assert!(!parts("vaults").any(|part| part == "vault"));
    }
}
