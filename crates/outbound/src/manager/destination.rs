//! Where a request may go: a scope, and the request made ready for it.

use super::{prepared::Prepared, scope::Scope};

/// One place where a request may go. Most requests have one; those to endpoints that share a name have several.
#[derive(Debug)]
pub(crate) struct Destination<'a> {
    pub(crate) scope: Scope,
    pub(crate) prepared: Prepared<'a>,
}
