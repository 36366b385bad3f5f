//! On whose behalf a call is made: what limits, fair turns and the audit log go by.

/// Who calls, and what the policy narrows for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// Name of the key, never the key itself.
    pub key: String,
    /// Whom the holder of the key acts for.
    pub subject: Option<String>,
    /// Most statements of theirs at once; `None` is as many as the server runs.
    pub max_concurrent: Option<usize>,
}

/// A key's name and a subject: two calls with the same are one caller's.
pub(crate) type CallerId = (String, Option<String>);

impl Caller {
    /// A caller who shows a key and acts for nobody else.
    pub fn of_key(key: &str) -> Self {
        Self { key: key.to_owned(), ..Self::default() }
    }

    pub(crate) fn id(&self) -> CallerId {
        (self.key.clone(), self.subject.clone())
    }
}
