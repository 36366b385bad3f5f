//! Verdicts that were given before: the same text for the same access gets the same one.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use moka::sync::Cache;
use shared_protocol::error::ErrorCode;

use crate::CheckedQuery;
use crate::rejection::Rejection;

/// Most bytes of all that is remembered.
const MOST_BYTES: u64 = 8 << 20;

/// Longest text that is remembered, in bytes.
const LONGEST: usize = 16 << 10;

/// What an entry takes besides its text and what is known of it, in bytes.
const ENTRY_BYTES: usize = 256;

type Verdict = Result<CheckedQuery, Rejection>;

/// Verdicts by text and access.
pub(crate) struct Verdicts {
    kept: Cache<u64, Arc<Kept>>,
}

struct Kept {
    text: Box<str>,
    access: u64,
    verdict: Verdict,
}

impl Verdicts {
    /// None yet.
    pub(crate) fn new() -> Self {
        let bytes = |kept: &Kept| {
            let of_verdict = kept.verdict.as_ref().map_or(kept.text.len(), CheckedQuery::bytes);
            kept.text.len() + of_verdict + ENTRY_BYTES
        };
        let weight = move |_: &u64, kept: &Arc<Kept>| u32::try_from(bytes(kept)).unwrap_or(u32::MAX);
        Self { kept: Cache::builder().max_capacity(MOST_BYTES).weigher(weight).build() }
    }

    /// The verdict that was given on this very text for this very access.
    pub(crate) fn get(&self, text: &str, access: u64) -> Option<Verdict> {
        let kept = self.kept.get(&key(text, access))?;
        (kept.access == access && *kept.text == *text).then(|| kept.verdict.clone())
    }

    /// Remembers a verdict, unless it says more of the moment than of the text.
    pub(crate) fn keep(&self, text: &str, access: u64, verdict: &Verdict) {
        let is_of_the_moment = verdict.as_ref().is_err_and(|rejection| {
            matches!(rejection.code, ErrorCode::ServerBusy | ErrorCode::InternalError | ErrorCode::QueryTooComplex)
        });
        if text.len() <= LONGEST && !is_of_the_moment {
            let kept = Kept { text: text.into(), access, verdict: verdict.clone() };
            self.kept.insert(key(text, access), Arc::new(kept));
        }
    }
}

/// Two texts of one key take each other's place, nothing worse.
fn key(text: &str, access: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (text, access).hash(&mut hasher);
    hasher.finish()
}
