//! API keys as configured: `name:key` or `key`, comma separated, each long enough not to be guessed.

use secrecy::{ExposeSecret, SecretString};
use shared_protocol::endpoint::MIN_KEY_CHARS;

use super::Source;

/// One key and the name that stands for it in logs and limits.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Name of its holder.
    pub name: String,
    /// The key itself.
    pub key: SecretString,
}

/// All keys that are accepted.
#[derive(Debug, Clone)]
pub struct Keys(Vec<ApiKey>);

impl Keys {
    /// The keys in `name`; every short, unnamed or doubled one is noted as a problem of its own.
    pub(super) fn read(source: &mut Source, name: &str) -> Self {
        let mut keys: Vec<ApiKey> = Vec::new();
        for (number, entry) in source.list(name).iter().enumerate() {
            let (holder, key) = entry.split_once(':').unwrap_or(("default", entry));
            let length = key.chars().count();
            let number = number + 1;
            if holder.is_empty() {
                source.problem(format!("{name}: entry {number} has no name before its colon"));
            }
            if length < MIN_KEY_CHARS {
                source.problem(format!(
                    "{name}: the key of {holder:?} has {length} characters; accepted are {MIN_KEY_CHARS} or more"
                ));
            }
            if keys.iter().any(|known| known.name == holder) {
                source.problem(format!("{name}: the name {holder:?} stands twice"));
            }
            if keys.iter().any(|known| known.key.expose_secret() == key) {
                source.problem(format!("{name}: the key of {holder:?} is another's too"));
            }
            keys.push(ApiKey { name: holder.to_owned(), key: SecretString::from(key) });
        }
        if keys.is_empty() {
            source.reject(name);
        }
        Self(keys)
    }

    /// The keys, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &ApiKey> {
        self.0.iter()
    }
}
