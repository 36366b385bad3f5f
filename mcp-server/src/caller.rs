//! On whose behalf a call is made: what policy, limits, fair turns and the audit log go by.

/// Who calls. Two calls of equal callers are one caller's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Caller {
    /// Name of the key, never the key itself.
    pub key: String,
    /// Whom the holder of the key acts for.
    pub subject: Option<String>,
}

impl Caller {
    /// A caller who shows a key and acts for nobody else.
    pub fn of_key(key: &str) -> Self {
        Self { key: key.to_owned(), subject: None }
    }
}
