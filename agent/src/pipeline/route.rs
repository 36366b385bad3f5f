//! Route: which database a question is for.

use shared_protocol::names::closest;

use super::{Question, Reason};
use crate::mcp::behalf::Behalf;
use crate::mcp::catalogs::Catalogs;

/// Most names offered for one that isn't there.
const MOST_OFFERED: usize = 3;

/// The database that `question` names, or the only one there is.
pub(super) async fn route(catalogs: &Catalogs, question: &Question, behalf: &Behalf) -> Result<String, Reason> {
    let known = catalogs.databases(behalf).await?;
    let choice = choose(question.database.as_deref(), &known);
    if !matches!(choice, Err(Reason::UnknownDatabase { .. } | Reason::NoDatabase)) {
        return choice;
    }
    // It may have come since the list was read.
    catalogs.refresh_databases(behalf).await;
    choose(question.database.as_deref(), &catalogs.databases(behalf).await?)
}

fn choose(asked: Option<&str>, known: &[String]) -> Result<String, Reason> {
    match (asked, known) {
        (_, []) => Err(Reason::NoDatabase),
        (None, [only]) => Ok(only.clone()),
        (None, several) => Err(Reason::DatabaseNotNamed { known: several.to_vec() }),
        (Some(asked), known) if known.iter().any(|name| name == asked) => Ok(asked.to_owned()),
        (Some(asked), known) => Err(Reason::UnknownDatabase { asked: asked.to_owned(), known: nearest(asked, known) }),
    }
}

fn nearest(asked: &str, known: &[String]) -> Vec<String> {
    let close = closest(asked, known.iter().map(String::as_str), MOST_OFFERED);
    if close.is_empty() && known.len() <= MOST_OFFERED {
        return known.to_vec();
    }
    close.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_or_only_database_is_chosen() {
        let check = |asked: Option<&str>, known: &[&str], expected: &str| {
            let known: Vec<String> = known.iter().map(ToString::to_string).collect();
            let found = match choose(asked, &known) {
                Ok(name) => name,
                Err(Reason::UnknownDatabase { known, .. }) => format!("unknown, offers {}", known.join(" ")),
                Err(other) => other.to_string(),
            };
            assert_eq!(found, expected, "{asked:?} of {known:?}");
        };
        check(None, &["shop"], "shop");
        check(Some("shop"), &["shop", "world"], "shop");
        check(Some("shpo"), &["shop", "world"], "unknown, offers shop");
        check(Some("zzz"), &["shop", "world"], "unknown, offers shop world");
        check(Some("zzz"), &["a", "b", "c", "d"], "unknown, offers ");
        check(None, &["shop", "world"], "the question does not say which database is meant");
        check(None, &[], "mcp-server offers no database");
    }
}
