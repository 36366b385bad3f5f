//! Names beyond ASCII in databases whose text isn't UTF-8: they are folded and cut there in other ways than here.

use pg_query::protobuf::Token;
use shared_protocol::error::ErrorCode;

use crate::parse::{scan, syntax_error};
use crate::rejection::Rejection;

/// Most bytes of a name; PostgreSQL cuts longer ones.
const NAME_BYTES: usize = 63;

/// Most bytes that a letter takes in any encoding.
const LETTER_BYTES: usize = 4;

/// Refuses names that such a database may take for others: long ones, which are cut at 63 bytes of its own encoding, and capital
/// letters beyond ASCII outside quotes, which are folded by its own rules.
pub(crate) fn names_mean_the_same(text: &str) -> Result<(), Rejection> {
    if text.is_ascii() && !text.contains("&\"") {
        return Ok(());
    }
    for token in scan(text).map_err(|error| syntax_error(text, error))? {
        if !matches!(token.token(), Token::Ident | Token::Uident) {
            continue;
        }
        let place = |at: i32| usize::try_from(at).unwrap_or(0);
        let name = text.get(place(token.start)..place(token.end)).unwrap_or_default();
        let most: usize = name.chars().map(|letter| if letter.is_ascii() { 1 } else { LETTER_BYTES }).sum();
        let is_quoted = name.starts_with('"');
        let folds = !is_quoted && name.chars().any(|letter| !letter.is_ascii() && letter.is_uppercase());
        let is_ambiguous = !name.is_ascii() && (folds || most > NAME_BYTES) || token.token() == Token::Uident;
        if is_ambiguous {
            let message = format!("the name {name} may mean another one in this database, whose text is not UTF-8");
            return Err(Rejection::new(ErrorCode::InvalidSql, message)
                .refused(name)
                .suggest("Write it in double quotes as it is spelled; a name beyond ASCII may have up to 15 letters.")
                .at(text, token.start));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_could_be_folded_or_cut_are_refused() {
        let check = |text: &str, passes: bool| assert_eq!(names_mean_the_same(text).is_ok(), passes, "{text}");
        check("SELECT 'É' FROM \"Été\" WHERE prénom = $1", true);
        check("SELECT 1 AS été", true);
        check("SELECT 1 AS ÉTÉ", false);
        check(&format!("SELECT 1 AS \"{}\"", "é".repeat(15)), true);
        check(&format!("SELECT 1 AS \"{}\"", "é".repeat(16)), false);
        check("SELECT 1 AS U&\"\\00e9\"", false);
    }
}
