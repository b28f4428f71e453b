//! When two requests are equal.

use http::HeaderValue;
use sha2::{Digest, Sha256};

use super::super::{destination::Destination, request::Request};

/// The SHA-256 of all that decides the answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key(pub(super) [u8; 32]);

/// Of what would be sent, byte for byte: where to, the method, the path, the headers but the manager's own, and the body. A key
/// of idempotency that the caller gave tells two requests apart; id, priority, tenant and deadline do not.
pub(super) fn of(request: &Request, destinations: &[Destination<'_>]) -> Key {
    let Destination { scope, prepared } = &destinations[0];
    let mut hash = Hash(Sha256::new());
    hash.part(scope.account.base_url.as_bytes());
    hash.part(prepared.method.as_str().as_bytes());
    hash.part(prepared.path.as_bytes());
    hash.part(&prepared.body);
    let given = request.options().idempotency_key.as_ref().map_or(&b""[..], HeaderValue::as_bytes);
    hash.part(given);
    // A map has them in an order of its own; those of one name stay in theirs.
    let mut headers: Vec<_> = prepared.headers.iter().collect();
    headers.sort_by_key(|(name, _)| name.as_str());
    for (name, value) in headers {
        hash.part(name.as_str().as_bytes());
        hash.part(value.as_bytes());
    }
    Key(hash.0.finalize().into())
}

struct Hash(Sha256);

impl Hash {
    /// With its length before it, so that no two lists of parts are the same bytes.
    fn part(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }
}

impl Key {
    /// 64 digits.
    pub(super) fn hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
