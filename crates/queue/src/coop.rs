//! tokio's cooperative budget, which loom's models do without.

use std::{
    mem,
    task::{Context, Poll},
};

#[cfg(not(outbound_loom))]
use tokio::task::coop::RestoreOnPending;

#[cfg(outbound_loom)]
struct RestoreOnPending;

/// A unit of the budget, which goes back if this is dropped.
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
    /// The unit is spent. It holds nothing but what it would restore, so forgetting it is all there is to do.
    #[inline]
    pub(crate) fn made_progress(self) {
        mem::forget(self.0);
    }
}
