//! The policy of a wait queue: it decides which requests are admitted.

use std::{fmt, sync::Arc};

use tokio::time::Instant;

use super::{RuntimeContext, WaitQueue};

/// Decides which requests are admitted. It is pure: it reads no clock and wakes no task.
pub(crate) trait Policy: fmt::Debug + Send + Sized + 'static {
    /// What a request costs.
    type Cost: fmt::Debug + Copy + Send + 'static;
    /// Why a request can never be admitted.
    type Impossible: fmt::Debug + Copy + Send + 'static;
    /// What a request waits for.
    type Reason: fmt::Debug + Copy + Send + 'static;

    /// Why this cost can never be admitted. `None` if it can.
    fn impossible(&self, cost: &Self::Cost) -> Option<Self::Impossible>;

    /// The fast check: admits a cost that no waiter is ahead of. `false` means that a round has to decide.
    fn admit_at_once(&mut self, cost: &Self::Cost, now: Instant) -> bool;

    /// Begins a round over the queue at this instant.
    fn begin_round(&mut self, now: Instant);

    /// Decides about the next waiter of the round. If it is admitted, its cost is taken.
    fn consider(&mut self, cost: &Self::Cost) -> Decision;

    /// When another round could admit a waiter, as far as the last round has seen. `None` if time alone does not help.
    fn next_round(&self) -> Option<Instant>;

    /// Admits a newcomer ahead of the queue, where that cannot delay a waiter. `head` is the cost of the first waiter.
    fn try_overtake(&mut self, _head: &Self::Cost, _cost: &Self::Cost, _now: Instant) -> bool {
        false
    }

    /// The earliest instant at which a cost could be admitted behind all waiters, and what it would wait for. `None` if the
    /// instant is not known.
    fn estimate(&mut self, cost: &Self::Cost, now: Instant) -> (Option<Instant>, Self::Reason);

    /// What the first waiter waits for, as far as the last round has seen.
    fn reason(&self) -> Self::Reason;

    /// The instant before which no request is admitted, whatever happens. `None` if it is not later than `now`.
    fn closed_until(&self, _now: Instant) -> Option<Instant> {
        None
    }

    /// A waiter has joined the queue.
    fn joined(&mut self, cost: &Self::Cost);

    /// A waiter has left the queue, admitted or not.
    fn left(&mut self, cost: &Self::Cost);

    /// A cost was admitted, and is not used.
    fn give_back(&mut self, cost: &Self::Cost);

    /// A request was rejected, and has not joined the queue.
    fn did_not_join(&mut self) {}

    /// Something was given back or has changed. Returns whether [`follow_up`](Self::follow_up) has to be called.
    fn note_change(&mut self) -> bool {
        false
    }

    /// Serves other queues that depend on this policy. It is called without a lock.
    fn follow_up(_queue: &Arc<WaitQueue<Self>>, _now: Instant, _context: RuntimeContext) {}
}

/// The decision about one waiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is admitted.
    Admit,
    /// It waits. A waiter behind it may overtake it.
    Wait,
    /// It waits, and all behind it wait too.
    Stop,
}

/// Why a request was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejection<N, R> {
    Closed,
    Impossible(N),
    /// It would have to wait, until this instant if that is known.
    MustWait {
        now: Instant,
        until: Option<Instant>,
        reason: R,
    },
}

/// The outcome of a request: admitted, or why not.
pub(crate) type Outcome<P> = Result<(), Rejection<<P as Policy>::Impossible, <P as Policy>::Reason>>;
