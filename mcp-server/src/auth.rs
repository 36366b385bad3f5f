//! Who is calling: a key in `X-API-Key` or `Authorization: Bearer`, compared in constant time.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use shared_protocol::endpoint::API_KEY_HEADER;
use subtle::{Choice, ConstantTimeEq};

use crate::config::Keys;

/// A caller who has shown a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Name of the key.
    pub name: Arc<str>,
}

/// Knows all keys, as digests: equal lengths, so that comparing them says nothing about any key.
#[derive(Debug, Clone)]
pub struct Authenticator(Arc<[(Arc<str>, [u8; 32])]>);

impl Authenticator {
    /// An authenticator for these keys.
    pub fn new(keys: &Keys) -> Self {
        Self(keys.iter().map(|key| (Arc::from(key.name.as_str()), digest(key.key.expose_secret()))).collect())
    }

    /// The caller behind `headers`; `None` where the key is missing or unknown. Every key is compared, whichever fits.
    pub fn authenticate(&self, headers: &HeaderMap) -> Option<Principal> {
        let presented = digest(presented(headers)?);
        let mut found = None;
        for (name, known) in self.0.iter() {
            let equal: Choice = known.ct_eq(&presented);
            if bool::from(equal) {
                found = Some(Principal { name: Arc::clone(name) });
            }
        }
        found
    }
}

fn presented(headers: &HeaderMap) -> Option<&str> {
    if let Some(key) = headers.get(API_KEY_HEADER) {
        return key.to_str().ok();
    }
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}
