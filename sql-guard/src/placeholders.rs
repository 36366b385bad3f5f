//! `$1..$n`: which placeholders a statement has, and that none is left out.

use std::collections::BTreeMap;

use shared_protocol::error::ErrorCode;

use crate::rejection::Rejection;

/// PostgreSQL's protocol counts parameters in 16 bits.
const MOST: i32 = u16::MAX as i32;

/// The placeholders seen so far, each with the first place that has it.
#[derive(Debug, Default)]
pub(crate) struct Placeholders {
    seen: BTreeMap<i32, i32>,
}

impl Placeholders {
    /// Notes `$number` at byte `location`.
    pub(crate) fn note(&mut self, number: i32, location: i32) {
        self.seen.entry(number).or_insert(location);
    }

    /// The highest number, when all from 1 up to it stand in the statement.
    pub(crate) fn count(&self, text: &str) -> Result<usize, Rejection> {
        for (expected, (&number, &location)) in (1..).zip(&self.seen) {
            if !(1..=MOST).contains(&number) {
                return Err(Rejection::new(ErrorCode::ParameterError, format!("${number} is not a placeholder"))
                    .refused(format!("${number}"))
                    .suggest(format!("Number placeholders from $1 up to at most ${MOST}."))
                    .at(text, location));
            }
            if number != expected {
                let message = format!("the statement has ${number} but no ${expected}");
                return Err(Rejection::new(ErrorCode::ParameterError, message)
                    .refused(format!("${number}"))
                    .suggest("Number placeholders from $1 without gaps.")
                    .at(text, location));
            }
        }
        Ok(self.seen.len())
    }

    /// As [`Self::count`], and that there are `given` of them.
    pub(crate) fn expect(&self, text: &str, given: usize) -> Result<usize, Rejection> {
        let count = self.count(text)?;
        if count == given {
            return Ok(count);
        }
        let message = format!("The statement has {}, but {given} came.", parameters(count));
        Err(Rejection::new(ErrorCode::ParameterError, message)
            .suggest(format!("Send {count} values in params, one for each placeholder.")))
    }
}

fn parameters(count: usize) -> String {
    match count {
        0 => "no placeholder".into(),
        1 => "one placeholder, $1".into(),
        _ => format!("{count} placeholders, $1 to ${count}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_without_gaps() {
        let check = |numbers: &[i32], expected: Result<usize, &str>| {
            let mut placeholders = Placeholders::default();
            for number in numbers {
                placeholders.note(*number, 0);
            }
            let count = placeholders.count("SELECT").map_err(|rejection| rejection.message);
            assert_eq!(count, expected.map_err(String::from), "{numbers:?}");
        };
        check(&[], Ok(0));
        check(&[1], Ok(1));
        check(&[2, 1, 2], Ok(2));
        check(&[1, 3], Err("the statement has $3 but no $2 (line 1, column 1)"));
        check(&[0], Err("$0 is not a placeholder (line 1, column 1)"));
        check(&[70_000], Err("$70000 is not a placeholder (line 1, column 1)"));
    }

    #[test]
    fn compares_with_what_came() {
        let mut placeholders = Placeholders::default();
        placeholders.note(1, 0);
        assert_eq!(placeholders.expect("", 1).unwrap(), 1);
        let rejection = placeholders.expect("", 3).unwrap_err();
        assert_eq!(rejection.code, ErrorCode::ParameterError);
        assert_eq!(rejection.message, "The statement has one placeholder, $1, but 3 came.");
    }
}
