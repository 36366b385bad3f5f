//! JSON that nests deeper than `serde_json` reads by itself, such as the plan of a statement with many sub-selects within each other.

use serde::Deserialize;
use serde_json::{Deserializer, Value};

/// Depth up to which the stack of whoever asks has room, and `serde_json` sets no limit.
const USUAL_DEPTH: usize = 100;

/// Most depth. A statement nests five hundred deep at most, and a level of it takes a few steps of its plan.
const MAX_DEPTH: usize = 8000;

/// Room for that depth: a level takes some kilobytes at most.
const STACK_BYTES: usize = 64 << 20;

/// Why a text gives no value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// It nests too deep.
    #[error("JSON nests deeper than {MAX_DEPTH}")]
    TooDeep,
    /// It is no JSON.
    #[error("not JSON")]
    Malformed(#[from] serde_json::Error),
}

/// What `work` makes of the value in `json`, where there is stack enough to go through it, to write it and to drop it.
///
/// # Errors
/// [`Unreadable`] where there is no such value.
pub(crate) fn with_value<T>(json: &str, work: impl FnOnce(Value) -> T) -> Result<T, Unreadable> {
    match depth(json) {
        0..=USUAL_DEPTH => Ok(work(serde_json::from_str(json)?)),
        depth if depth <= MAX_DEPTH => stacker::grow(STACK_BYTES, || {
            let mut reader = Deserializer::from_str(json);
            reader.disable_recursion_limit();
            let value = Value::deserialize(&mut reader)?;
            reader.end()?;
            Ok(work(value))
        }),
        _ => Err(Unreadable::TooDeep),
    }
}

/// How deep arrays and objects stand within each other.
fn depth(json: &str) -> usize {
    let (mut depth, mut most) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                most = most.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_open_outside_of_strings() {
        let check = |json: &str, expected: usize| assert_eq!(depth(json), expected, "{json}");
        check("1", 0);
        check(r#"[{"a":[1]},{}]"#, 3);
        check(r#"["[[[[", "\"[[", "\\"]"#, 1);
        check("]]]][", 1);
    }

    #[test]
    fn deep_values_are_read_and_written_and_too_deep_ones_refused() {
        for depth in [1, USUAL_DEPTH, USUAL_DEPTH + 1, MAX_DEPTH / 2] {
            let json = format!("{}1{}", "[{\"Plans\":".repeat(depth), "}]".repeat(depth));
            let written = with_value(&json, |value| (value.to_string(), value.clone() == value)).unwrap();
            assert_eq!(written, (json, true), "{depth}");
        }
        let json = format!("{}{}", "[".repeat(MAX_DEPTH + 1), "]".repeat(MAX_DEPTH + 1));
        assert!(matches!(with_value(&json, drop), Err(Unreadable::TooDeep)));
        for json in ["", "[", "[1] 2", &"[".repeat(USUAL_DEPTH + 1)] {
            assert!(matches!(with_value(json, drop), Err(Unreadable::Malformed(_))), "{json}");
        }
    }
}
