//! A store of quota behind a pointer, so that the manager has no type parameter for it.

use std::{future::Future, pin::Pin};

use crate::quota_store::{Exchange, Grant, QuotaError, QuotaStore, Scope};

/// The future of an exchange.
pub(super) type Exchanging<'a> = Pin<Box<dyn Future<Output = Result<Grant, QuotaError>> + Send + 'a>>;

/// As [`QuotaStore`], but usable as `dyn`.
pub(crate) trait AnyStore: Send + Sync {
    fn exchange<'a>(&'a self, scope: &'a Scope, exchange: Exchange) -> Exchanging<'a>;
}

impl<S: QuotaStore> AnyStore for S {
    fn exchange<'a>(&'a self, scope: &'a Scope, exchange: Exchange) -> Exchanging<'a> {
        Box::pin(QuotaStore::exchange(self, scope, exchange))
    }
}
