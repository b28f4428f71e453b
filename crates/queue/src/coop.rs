//! Tokio's cooperative budget. Loom models have none.

use std::{
    mem,
    task::{Context, Poll},
};

#[cfg(not(outbound_loom))]
use tokio::task::coop::RestoreOnPending;

#[cfg(outbound_loom)]
struct RestoreOnPending;

/// A unit of the budget. Dropping it gives the unit back.
pub(crate) struct Unit(RestoreOnPending);

#[cfg(not(outbound_loom))]
#[inline]
pub(crate) fn poll_proceed(cx: &mut Context<'_>) -> Poll<Unit> {
    tokio::task::coop::poll_proceed(cx).map(Unit)
}

#[cfg(outbound_loom)]
pub(crate) fn poll_proceed(_cx: &mut Context<'_>) -> Poll<Unit> {
    Poll::Ready(Unit(RestoreOnPending))
}

impl Unit {
    /// Spends the unit. It owns nothing else, so it can be forgotten.
    #[inline]
    pub(crate) fn made_progress(self) {
        mem::forget(self.0);
    }
}
