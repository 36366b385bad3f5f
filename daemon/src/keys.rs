//! API keys: as configured (`name:key` or `key`, comma separated), and as presented, compared in constant time.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use shared_protocol::endpoint::{API_KEY_HEADER, MIN_KEY_CHARS};
use subtle::{Choice, ConstantTimeEq};

use crate::address::TrustedProxies;
use crate::failures::{Failures, TooMany};
use crate::settings::Source;

pub use crate::failures::LONGEST_DELAY;

/// One key and the name that stands for it in logs and limits.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Name of its holder.
    pub name: String,
    /// The key itself.
    pub key: SecretString,
}

/// All keys that are accepted, in the order given.
#[derive(Debug, Clone, Default)]
pub struct Keys(Vec<ApiKey>);

impl Keys {
    /// The keys in the variable `name`; every short, unnamed or doubled one is noted as a problem of its own.
    pub fn read(source: &mut Source, name: &str) -> Self {
        let mut keys: Vec<ApiKey> = Vec::new();
        for (at, entry) in source.list(name).iter().enumerate() {
            let (holder, key) = entry.split_once(':').unwrap_or(("default", entry));
            let (holder, key) = (holder.trim(), key.trim());
            if holder.is_empty() {
                source.problem(format!("{name}: entry {} has no name before its colon", at + 1));
            }
            let length = key.chars().count();
            if length < MIN_KEY_CHARS {
                source.problem(format!(
                    "{name}: the key of {holder:?} has {length} characters; accepted are {MIN_KEY_CHARS} or more"
                ));
            }
            if http::HeaderValue::from_str(key).is_err() {
                source.problem(format!("{name}: the key of {holder:?} has characters that no header can carry"));
            }
            if keys.iter().any(|known| known.name == holder) {
                source.problem(format!("{name}: the name {holder:?} stands twice"));
            }
            if keys.iter().any(|known| known.key.expose_secret() == key) {
                source.problem(format!("{name}: the key of {holder:?} is another's too"));
            }
            keys.push(ApiKey { name: holder.to_owned(), key: SecretString::from(key) });
        }
        Self(keys)
    }

    /// The names of their holders.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.name.as_str())
    }

    /// As [`Keys::read`], and none at all is a problem too.
    pub fn read_required(source: &mut Source, name: &str) -> Self {
        let keys = Self::read(source, name);
        if keys.is_empty() {
            source.reject(name);
        }
        keys
    }

    /// The keys, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &ApiKey> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A caller who has shown a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Name of the key.
    pub name: Arc<str>,
}

/// Why a caller isn't known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// There is no key in the headers.
    #[error("the API key is missing")]
    Missing,
    /// There is one, and it is nobody's.
    #[error("the API key is not known")]
    Refused,
    /// There is one, it is nobody's, and so many were before that not even a late answer can be given.
    #[error("too many unknown API keys were shown")]
    Flooded,
}

/// Knows all keys, as digests: equal lengths, so that comparing them says nothing about any key. Clones share what it remembers of
/// wrong ones.
#[derive(Debug, Clone)]
pub struct Authenticator {
    keys: Arc<[(Arc<str>, [u8; 32])]>,
    proxies: TrustedProxies,
    failures: Arc<Failures>,
}

impl Authenticator {
    /// An authenticator for these keys, on a port that takes `max_connections` and stands behind `proxies`.
    pub fn new(keys: &Keys, proxies: TrustedProxies, max_connections: usize) -> Self {
        let digest = |key: &ApiKey| (Arc::from(key.name.as_str()), digest(key.key.expose_secret().as_bytes()));
        let failures = Arc::new(Failures::new(max_connections));
        Self { keys: keys.iter().map(digest).collect(), proxies, failures }
    }

    /// The caller behind a request's headers `X-API-Key`, or `Authorization: Bearer`, at once. Where the key is nobody's, that is
    /// said later and later to the address that the request comes from.
    ///
    /// # Errors
    /// [`Unknown`], where there is no key or nobody's.
    pub async fn admit(&self, headers: &HeaderMap, extensions: &Extensions) -> Result<Principal, Unknown> {
        let judged = self.judge(headers);
        if judged == Err(Unknown::Refused)
            && let Some(address) = self.proxies.client(headers, extensions)
        {
            self.failures.wait(address).await.map_err(|TooMany| Unknown::Flooded)?;
        }
        judged
    }

    /// Every key is compared, whichever fits.
    fn judge(&self, headers: &HeaderMap) -> Result<Principal, Unknown> {
        let presented = digest(presented(headers).ok_or(Unknown::Missing)?);
        let mut found = Err(Unknown::Refused);
        for (name, known) in self.keys.iter() {
            let is_equal: Choice = known.ct_eq(&presented);
            if bool::from(is_equal) {
                found = Ok(Principal { name: Arc::clone(name) });
            }
        }
        found
    }
}

fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(key) = headers.get(API_KEY_HEADER) {
        return Some(key.as_bytes());
    }
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim().as_bytes())
}

fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::settings::Variable;

    const KEY: &str = "0123456789abcdefghijkl";

    const VARIABLES: &[Variable] = &[Variable::secret("KEYS", "name:key", "Keys")];

    fn read(keys: &str) -> (Keys, Result<(), String>) {
        let environment = |_: &str| Some(keys.to_owned());
        let mut source =
            Source::from_parts(clap::Command::new("program"), VARIABLES, ["program"], environment).unwrap();
        let keys = Keys::read_required(&mut source, "KEYS");
        (keys, source.finish().map_err(|error| error.to_string()))
    }

    #[test]
    fn keys_have_names_and_a_least_length() {
        let (keys, problems) = read(&format!("web:{KEY}1, {KEY}2"));
        problems.unwrap();
        let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
        assert_eq!(names, ["web", "default"]);
        let check = |keys: &str, problem: &str| {
            let said = read(keys).1.unwrap_err();
            assert!(said.contains(problem) && !said.contains(KEY), "{keys}: {said}");
        };
        check("web:short", "has 5 characters; accepted are 22 or more");
        check(&format!("a:{KEY}1,a:{KEY}2"), "\"a\" stands twice");
        check(&format!("a:{KEY},b:{KEY}"), "is another's too");
        check(&format!(":{KEY}"), "no name");
        check(&format!("a:{KEY}\u{7f}"), "no header can carry");
        check(",", "KEYS is (not shown)");
    }

    #[test]
    fn a_caller_is_known_by_either_header() {
        let authenticator = Authenticator::new(&read(&format!("web:{KEY}")).0, TrustedProxies::default(), 1000);
        let check = |header: &'static str, value: &str, expected: Result<&str, Unknown>| {
            let value = HeaderValue::from_str(value).unwrap();
            let headers = HeaderMap::from_iter([(HeaderName::from_static(header), value)]);
            let found = authenticator.judge(&headers);
            assert_eq!(
                found.as_ref().map(|caller| caller.name.as_ref()).map_err(|unknown| *unknown),
                expected,
                "{header}"
            );
        };
        check("x-api-key", KEY, Ok("web"));
        check("authorization", &format!("bearer {KEY}"), Ok("web"));
        check("authorization", &format!("Basic {KEY}"), Err(Unknown::Missing));
        check("x-api-key", "0123456789abcdefghijkX", Err(Unknown::Refused));
        check("x-api-key", "", Err(Unknown::Refused));
        check("accept", "*/*", Err(Unknown::Missing));
    }
}
