//! Verify: what the rows say about the answer. In this version by the checks that need no model.

use super::execute::Rows;
use super::{Question, checks};
use crate::answer::Check;
use crate::translator::Candidate;

/// What is to be thought of an answer.
pub(super) struct Verdict {
    /// A judge's score; nobody judges yet.
    pub(super) confidence: Option<u8>,
    /// Which checks passed, in words.
    pub(super) words: String,
    /// The checks.
    pub(super) checks: Vec<Check>,
}

/// The verdict on the rows that a statement gave.
pub(super) async fn verify(question: &Question, candidate: &Candidate, rows: &Rows) -> Verdict {
    let checks = checks::run(&question.text, candidate, rows);
    Verdict { confidence: None, words: in_words(&checks), checks }
}

fn in_words(checks: &[Check]) -> String {
    let names = |passed: bool| {
        let names: Vec<&str> = checks.iter().filter(|check| check.passed == passed).map(|check| check.name).collect();
        names.join(", ")
    };
    let (passed, failed) = (names(true), names(false));
    match (passed.is_empty(), failed.is_empty()) {
        (_, true) => format!("No model judged the answer. All checks passed: {passed}."),
        (true, false) => format!("No model judged the answer. No check passed: {failed}."),
        (false, false) => format!("No model judged the answer. Passed: {passed}. Not passed: {failed}."),
    }
}
