//! Words of names and questions: splitting identifiers, and the common form in which singular and plural meet.

/// The words of an identifier, lower-case, split on separators and on changes of case, with usual abbreviations spelt out.
pub(super) fn split_identifier(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut previous = ' ';
    let mut characters = name.chars().peekable();
    while let Some(character) = characters.next() {
        let next_is_lower = characters.peek().is_some_and(|c| c.is_lowercase());
        // `orderId` breaks before I, and `HTTPCode` before C.
        let new_word =
            character.is_uppercase() && (previous.is_lowercase() || (previous.is_uppercase() && next_is_lower));
        if new_word || !character.is_alphanumeric() {
            push_word(&mut words, &mut word);
        }
        if character.is_alphanumeric() {
            word.extend(character.to_lowercase());
        }
        previous = character;
    }
    push_word(&mut words, &mut word);
    words
}

fn push_word(words: &mut Vec<String>, word: &mut String) {
    if !word.is_empty() {
        words.push(spelt_out(word).to_string());
        word.clear();
    }
}

/// What an abbreviation that is usual in column names stands for.
fn spelt_out(word: &str) -> &str {
    match word {
        "qty" => "quantity",
        "num" | "nbr" => "number",
        "amt" => "amount",
        "addr" => "address",
        "avg" => "average",
        "dept" => "department",
        "emp" => "employee",
        "cust" => "customer",
        "pct" => "percentage",
        "desc" => "description",
        "fname" => "first name",
        "lname" => "last name",
        "dob" => "birth date",
        other => other,
    }
}

/// The form in which a word is compared: number taken off, so that `cities` meets `city` and `movies` meets `movie`.
pub(super) fn stem(word: &str) -> String {
    match word {
        "people" | "persons" => return "person".into(),
        "children" => return "child".into(),
        "men" => return "man".into(),
        "women" => return "woman".into(),
        _ => {}
    }
    let mut stemmed = without_plural(word);
    if stemmed.len() > 3 {
        if stemmed.ends_with("ie") {
            stemmed.pop();
        } else if stemmed.ends_with('y') && !stemmed.ends_with(['a', 'e', 'o', 'u']) {
            let consonant = stemmed.chars().rev().nth(1).is_some_and(|c| !"aeou".contains(c));
            if consonant {
                stemmed.pop();
                stemmed.push('i');
            }
        }
    }
    stemmed
}

/// The singular of a noun by its ending, as far as comparing words needs it.
fn without_plural(word: &str) -> String {
    let keep = |cut: usize| word[..word.len() - cut].to_string();
    if word == "ids" {
        return "id".into();
    }
    if word.len() < 4 || !word.is_ascii() || !word.ends_with('s') || word.ends_with("ss") || word.ends_with("is") {
        return word.to_string();
    }
    let bare_es = ["sses", "shes", "ches", "xes", "zes"].iter().any(|ending| word.ends_with(ending));
    let after_us = word.ends_with("uses") && !word.ends_with("ouses") && !word.ends_with("auses");
    if word.len() > 4 && (bare_es || after_us) {
        return keep(2);
    }
    if word.ends_with("us") {
        return word.to_string();
    }
    keep(1)
}

/// The singular as it would be written: `countries` → `country`.
pub(super) fn singular(word: &str) -> String {
    match word.strip_suffix("ies") {
        Some(front) => format!("{front}y"),
        None => without_plural(word),
    }
}

/// Whether a noun was written in the plural.
pub(super) fn is_plural(word: &str) -> bool {
    matches!(word, "people" | "children" | "men" | "women") || without_plural(word) != word
}

/// A verb's or participle's root (`shipped`, `shipping` → `ship`), for names that say the same with another ending.
pub(super) fn root(word: &str) -> Option<String> {
    let cut = ["ing", "ed"].iter().find_map(|ending| word.strip_suffix(ending))?;
    if cut.len() < 3 {
        return None;
    }
    let mut letters: Vec<char> = cut.chars().collect();
    let last = letters.len() - 1;
    if letters[last] == letters[last - 1] && !"lsz".contains(letters[last]) {
        letters.pop();
    }
    Some(letters.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_identifiers_into_words() {
        let check = |name: &str, words: &[&str]| assert_eq!(split_identifier(name), words, "{name}");
        check("order_items", &["order", "items"]);
        check("orderItemID", &["order", "item", "id"]);
        check("HTTPCode", &["http", "code"]);
        check("stock qty", &["stock", "quantity"]);
        check("level-of.membership", &["level", "of", "membership"]);
        check("address2", &["address2"]);
    }

    #[test]
    fn brings_singular_and_plural_together() {
        let check = |one: &str, other: &str| assert_eq!(stem(one), stem(other), "{one}, {other}");
        check("city", "cities");
        check("movie", "movies");
        check("box", "boxes");
        check("status", "statuses");
        check("house", "houses");
        check("price", "prices");
        check("address", "addresses");
        check("person", "people");
        check("day", "days");
        check("key", "keys");
        check("id", "ids");
    }

    #[test]
    fn keeps_different_words_apart() {
        let check = |one: &str, other: &str| assert_ne!(stem(one), stem(other), "{one}, {other}");
        check("car", "care");
        check("rat", "rate");
    }

    #[test]
    fn finds_roots_of_participles() {
        let check = |word: &str, expected: Option<&str>| assert_eq!(root(word).as_deref(), expected, "{word}");
        check("shipped", Some("ship"));
        check("shipping", Some("ship"));
        check("called", Some("call"));
        check("red", None);
        check("table", None);
    }
}
