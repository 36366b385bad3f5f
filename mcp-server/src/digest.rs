//! Short digests: two texts that differ have two, for all that anybody could bring about.

use sha2::{Digest, Sha256};

/// Twelve bytes of SHA-256, as 24 hex digits.
pub(crate) fn digest(text: impl AsRef<[u8]>) -> String {
    Sha256::digest(text)[..12].iter().map(|byte| format!("{byte:02x}")).collect()
}
