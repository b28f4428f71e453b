//! Where a request may go: a scope, and the request made ready for it.

use tokio::time::Instant;

use super::{attempt::Prepared, scope::Scope};

/// One place where a request may go. Most requests have one; those to endpoints that share a name have several.
#[derive(Debug)]
pub(crate) struct Destination<'a> {
    pub(crate) scope: Scope,
    pub(crate) prepared: Prepared<'a>,
}

impl Destination<'_> {
    /// Whether nothing but the limits keeps a request from going there now.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.scope.is_open(now)
    }

    /// How busy it is for its weight.
    pub(super) fn load(&self) -> f64 {
        self.scope.account.load()
    }
}
