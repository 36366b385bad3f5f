//! Cursors: where the next page of a result begins, told to the caller and signed, so that the server keeps nothing.
//!
//! A cursor names its place, and what it is good for: the statement with its parameters, the caller, and the catalog by which it was
//! judged. Instances with the same keys take each other's.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use daemon::keys::Keys;
use hmac::{Hmac, KeyInit, Mac};
use rand::Rng;
use secrecy::ExposeSecret;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::caller::Caller;

/// Bytes of the hash of each thing that a cursor is good for.
const HASH: usize = 8;

/// Bytes of the signature.
const SIGNATURE: usize = 16;

/// Bytes of all but the signature: the place and three hashes.
const BODY: usize = 8 + 3 * HASH;

/// Gives out cursors and takes them back.
#[derive(Clone)]
pub struct Cursors(Arc<[u8; 32]>);

/// What a cursor is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    statement: [u8; HASH],
    caller: [u8; HASH],
    catalog: [u8; HASH],
}

/// Why a cursor leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// It isn't one of ours.
    #[error("the cursor is not one that this server gave")]
    Foreign,
    /// It belongs to another statement, other parameters or another database.
    #[error("the cursor belongs to another statement: send it with the very query and params of the page before")]
    OtherStatement,
    /// It was given to somebody else.
    #[error("the cursor was given to another caller")]
    OtherCaller,
    /// The catalog has changed since.
    #[error("the database's catalog has changed since the cursor was given")]
    Stale,
}

impl std::fmt::Debug for Cursors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cursors")
    }
}

impl Cursors {
    /// Signs with a key made from those of the clients; where there are none, with one of this process alone.
    pub fn new(keys: &Keys) -> Self {
        if keys.is_empty() {
            return Self(Arc::new(rand::rng().random()));
        }
        let mut hash = Sha256::new();
        hash.update(b"pgmcp cursors");
        for key in keys.iter() {
            for part in [key.name.as_bytes(), key.key.expose_secret().as_bytes()] {
                hash.update(part.len().to_be_bytes());
                hash.update(part);
            }
        }
        Self(Arc::new(hash.finalize().into()))
    }

    /// A cursor to the row `place`, from 0, of what `binding` names.
    pub fn give(&self, place: u64, binding: &Binding) -> String {
        let Binding { statement, caller, catalog } = binding;
        let mut bytes = Vec::with_capacity(BODY + SIGNATURE);
        bytes.extend_from_slice(&place.to_be_bytes());
        for hash in [statement, caller, catalog] {
            bytes.extend_from_slice(hash);
        }
        let signature = self.signed(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&signature[..SIGNATURE]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place that `cursor` names.
    ///
    /// # Errors
    /// [`CursorError`] where it isn't ours, or is good for something else than `binding`.
    pub fn take(&self, cursor: &str, binding: &Binding) -> Result<u64, CursorError> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| CursorError::Foreign)?;
        if bytes.len() != BODY + SIGNATURE {
            return Err(CursorError::Foreign);
        }
        let (body, signature) = bytes.split_at(BODY);
        self.signed(body).verify_truncated_left(signature).map_err(|_| CursorError::Foreign)?;
        let (place, hashes) = body.split_at(8);
        let mut hashes = hashes.chunks_exact(HASH);
        let mut is = |expected: &[u8; HASH]| hashes.next().is_some_and(|hash| hash == expected);
        match (is(&binding.statement), is(&binding.caller), is(&binding.catalog)) {
            (false, ..) => Err(CursorError::OtherStatement),
            (_, false, _) => Err(CursorError::OtherCaller),
            (.., false) => Err(CursorError::Stale),
            _ => Ok(u64::from_be_bytes(place.try_into().expect("split off as eight bytes"))),
        }
    }

    fn signed(&self, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice()).expect("a key of any length will do");
        mac.update(body);
        mac
    }
}

impl Binding {
    /// Good for a statement with its parameters on a database, for one caller, as long as the catalog's fingerprint is this one.
    pub fn new(statement: &str, params: &[Value], database: &str, caller: &Caller, fingerprint: &str) -> Self {
        let params = serde_json::to_string(params).expect("values are plain data");
        Self {
            statement: hash(&[statement, &params, database]),
            caller: hash(&[&caller.key, caller.subject.as_deref().unwrap_or_default()]),
            catalog: hash(&[fingerprint]),
        }
    }
}

fn hash(parts: &[&str]) -> [u8; HASH] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize()[..HASH].try_into().expect("a hash is longer")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(statement: &str, key: &str, fingerprint: &str) -> Binding {
        Binding::new(statement, &[], "shop", &Caller::of_key(key), fingerprint)
    }

    #[test]
    fn a_cursor_is_good_for_what_it_was_given_for() {
        let cursors = Cursors::new(&Keys::default());
        let cursor = cursors.give(1000, &binding("TABLE t", "web", "f1"));
        let take = |cursor: &str, of: Binding| cursors.take(cursor, &of);
        assert_eq!(take(&cursor, binding("TABLE t", "web", "f1")), Ok(1000));
        assert_eq!(take(&cursor, binding("TABLE u", "web", "f1")), Err(CursorError::OtherStatement));
        assert_eq!(take(&cursor, binding("TABLE t", "app", "f1")), Err(CursorError::OtherCaller));
        assert_eq!(take(&cursor, binding("TABLE t", "web", "f2")), Err(CursorError::Stale));
        let other = Cursors::new(&Keys::default());
        assert_eq!(other.take(&cursor, &binding("TABLE t", "web", "f1")), Err(CursorError::Foreign));
    }

    #[test]
    fn a_changed_cursor_is_nobodys() {
        let cursors = Cursors::new(&Keys::default());
        let of = binding("TABLE t", "web", "f1");
        let cursor = cursors.give(5, &of);
        for at in 0..cursor.len() {
            let mut bytes = cursor.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(cursors.take(&changed, &of), Err(CursorError::Foreign), "{changed}");
        }
        for text in ["", "x", "=", &cursor[1..], &format!("{cursor}AA")] {
            assert_eq!(cursors.take(text, &of), Err(CursorError::Foreign), "{text}");
        }
    }
}
