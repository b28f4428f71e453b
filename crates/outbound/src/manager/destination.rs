//! Where a request may be sent: a scope, and the request prepared for it.

use super::{prepared::Prepared, scope::Scope};

/// One destination. Most requests have one. A request to several endpoints of one name has several.
#[derive(Debug)]
pub(crate) struct Destination<'a> {
    pub(crate) scope: Scope,
    pub(crate) prepared: Prepared<'a>,
}
