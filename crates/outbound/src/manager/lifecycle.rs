//! Open, draining, ended: who may still come in, and when the last one has left.

use std::time::Duration;

use tokio::sync::watch;

/// The life of a manager, shared by everything that runs for it.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    phase: watch::Sender<Phase>,
    active: watch::Sender<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Requests come in.
    Open,
    /// None comes in; those inside run to their end.
    Draining,
    /// Those still inside are cut off.
    Aborted,
}

/// One request inside. Dropping it says that it has left.
#[derive(Debug)]
pub(crate) struct Inside<'a>(&'a Lifecycle);

impl Lifecycle {
    pub(crate) fn new() -> Self {
        Self { phase: watch::Sender::new(Phase::Open), active: watch::Sender::new(0) }
    }

    /// Lets a request in, unless the doors are closed.
    pub(crate) fn enter(&self) -> Option<Inside<'_>> {
        // Counted first, so that `drained` cannot miss one that saw the doors open.
        self.active.send_modify(|active| *active += 1);
        let inside = Inside(self);
        self.is_open().then_some(inside)
    }

    /// Whether the doors are open.
    pub(crate) fn is_open(&self) -> bool {
        *self.phase.borrow() == Phase::Open
    }

    /// Closes the doors; what is inside runs on.
    pub(crate) fn drain(&self) {
        self.advance(Phase::Draining);
    }

    /// Closes the doors and cuts off what is inside.
    pub(crate) fn abort(&self) {
        self.advance(Phase::Aborted);
    }

    /// How many requests are inside.
    pub(crate) fn active(&self) -> usize {
        *self.active.borrow()
    }

    /// Returns once nobody is inside, or after the time given; says how many still are.
    pub(crate) async fn drained(&self, grace: Duration) -> usize {
        let mut active = self.active.subscribe();
        let empty = active.wait_for(|active| *active == 0);
        let _ = tokio::time::timeout(grace, empty).await;
        self.active()
    }

    /// Returns when the doors are closed.
    pub(crate) async fn closed(&self) {
        self.reached(Phase::Draining).await;
    }

    /// Returns when those inside are cut off.
    pub(crate) async fn aborted(&self) {
        self.reached(Phase::Aborted).await;
    }

    async fn reached(&self, wanted: Phase) {
        // The sender is `self`, so waiting cannot fail.
        let _ = self.phase.subscribe().wait_for(|phase| *phase >= wanted).await;
    }

    fn advance(&self, to: Phase) {
        self.phase.send_modify(|phase| *phase = to.max(*phase));
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.active.send_modify(|active| *active -= 1);
    }
}
