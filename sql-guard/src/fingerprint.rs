//! A number for statements that are the same but for white space, comments and literals.

use crate::limits::Limits;
use crate::parse::{measure, syntax_error};
use crate::rejection::Rejection;

/// libpg_query's fingerprint of `text`, in hexadecimal. To be called on a guard thread.
pub(crate) fn fingerprint(text: &str, limits: &Limits) -> Result<String, Rejection> {
    measure(text, limits)?;
    pg_query::fingerprint(text, 0, pg_query::FingerprintOptions::FULL_RELNAME)
        .map(|fingerprint| fingerprint.hex)
        .map_err(|error| syntax_error(text, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_statement_does_counts() {
        let of = |text: &str| fingerprint(text, &Limits::default()).unwrap();
        let same = of("SELECT a FROM t WHERE b = 1");
        assert_eq!(same.len(), 16);
        for text in [
            "select a from t where b=2",
            "SELECT a -- which\nFROM t /* here */ WHERE b = 'x'",
            "SELECT a FROM t WHERE b = $1",
        ] {
            assert_eq!(of(text), same, "{text}");
        }
        for text in ["SELECT a FROM t WHERE c = 1", "SELECT a FROM u WHERE b = 1", "SELECT a FROM t"] {
            assert_ne!(of(text), same, "{text}");
        }
    }
}
