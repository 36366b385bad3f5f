//! The nearest names to one that was mistyped: what every "Did you mean …?" is made from.

/// At most `most` of `known` that are close enough to `wanted` to be worth offering, nearest first; ties in their own order.
///
/// Close is a Jaro-Winkler similarity of 0.75 or more on lower-cased names, or one name standing within the other.
pub fn closest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>, most: usize) -> Vec<&'a str> {
    let wanted = wanted.to_lowercase();
    let mut scored: Vec<(f64, &str)> = known
        .into_iter()
        .filter_map(|name| {
            let lower = name.to_lowercase();
            let score = strsim::jaro_winkler(&wanted, &lower);
            let contained =
                wanted.len() >= 3 && lower.len() >= 3 && (lower.contains(&wanted) || wanted.contains(&lower));
            (score >= 0.75 || contained).then_some((score, name))
        })
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.into_iter().take(most).map(|(_, name)| name).collect()
}

/// `Did you mean a, b or c?`, or nothing where there is no name to offer.
pub fn did_you_mean<S: AsRef<str>>(names: &[S]) -> Option<String> {
    let (last, head) = names.split_last()?;
    let head: Vec<&str> = head.iter().map(AsRef::as_ref).collect();
    Some(match head.is_empty() {
        true => format!("Did you mean {}?", last.as_ref()),
        false => format!("Did you mean {} or {}?", head.join(", "), last.as_ref()),
    })
}

/// At most 100 characters of a name that a caller gave, for messages.
pub fn shortened(name: &str) -> std::borrow::Cow<'_, str> {
    match name.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &name[..end]).into(),
        None => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_the_nearest_names_first() {
        let known = ["users", "orders", "order_items", "payments"];
        assert_eq!(closest("user", known, 3), ["users"]);
        assert_eq!(closest("order", known, 3), ["orders", "order_items"]);
        assert!(closest("zzz", known, 3).is_empty());
    }

    #[test]
    fn asks_in_a_sentence() {
        assert_eq!(did_you_mean::<&str>(&[]), None);
        assert_eq!(did_you_mean(&["a"]).unwrap(), "Did you mean a?");
        assert_eq!(did_you_mean(&["a", "b", "c"]).unwrap(), "Did you mean a, b or c?");
    }
}
