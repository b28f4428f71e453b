//! What a line asks of those who decide.

use std::{fmt, sync::Arc};

use tokio::time::Instant;

use super::{RuntimeContext, WaitQueue};

/// Decides who is let through. It is pure: it reads no clock and wakes nobody.
pub(crate) trait Policy: fmt::Debug + Send + Sized + 'static {
    /// What one asks for.
    type Cost: fmt::Debug + Copy + Send + 'static;
    /// What can make it impossible to let one through, ever.
    type Impossible: fmt::Debug + Copy + Send + 'static;
    /// What one waits for.
    type Reason: fmt::Debug + Copy + Send + 'static;

    /// Why one can never be let through, if so.
    fn impossible(&self, cost: &Self::Cost) -> Option<Self::Impossible>;

    /// Lets one through whom nobody is waiting ahead of, if that is plain to see. `false`: a round has to tell.
    fn admit_at_once(&mut self, cost: &Self::Cost, now: Instant) -> bool;

    /// Begins a round over the line, at an instant.
    fn begin_round(&mut self, now: Instant);

    /// Looks at the next in line, and takes what it asks for if it may have it.
    fn consider(&mut self, cost: &Self::Cost) -> Decision;

    /// When, by what the last round has seen, another could let somebody through. `None`: time alone does not help.
    fn next_round(&self) -> Option<Instant>;

    /// Lets one through ahead of the line, whose head is `head`, where that cannot delay anybody in it.
    fn try_overtake(&mut self, _head: &Self::Cost, _ask: &Self::Cost, _now: Instant) -> bool {
        false
    }

    /// When one could be let through behind all who are in line, at the earliest, and what it would wait for.
    /// `None`: not in any foreseeable time.
    fn estimate(&mut self, cost: &Self::Cost, now: Instant) -> (Option<Instant>, Self::Reason);

    /// What the last round has seen the head of the line wait for.
    fn reason(&self) -> Self::Reason;

    /// Nobody is let through before this, whatever else happens, if it is later than `now`.
    fn closed_until(&self, _now: Instant) -> Option<Instant> {
        None
    }

    /// One has joined the line.
    fn joined(&mut self, cost: &Self::Cost);

    /// One has left the line, let through or not.
    fn left(&mut self, cost: &Self::Cost);

    /// What one was let through for is not used.
    fn give_back(&mut self, cost: &Self::Cost);

    /// One that asked has gone away without joining the line.
    fn did_not_join(&mut self) {}

    /// Something was given back, or has changed. Whether [`follow_up`](Self::follow_up) has to be called for it.
    fn note_change(&mut self) -> bool {
        false
    }

    /// Serves other lines that wait for something of this policy or have got a turn by it. No lock is held.
    fn follow_up(_queue: &Arc<WaitQueue<Self>>, _now: Instant, _caller: RuntimeContext) {}
}

/// What becomes of the next in line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is let through.
    Admit,
    /// It waits; somebody behind it may pass.
    Wait,
    /// It waits, and so do all behind it.
    Stop,
}

/// Why one was not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejection<N, R> {
    Closed,
    Impossible(N),
    /// It would have to wait: until then, if that is known.
    MustWait {
        now: Instant,
        until: Option<Instant>,
        reason: R,
    },
}

/// What a policy's line answers.
pub(crate) type Outcome<P> = Result<(), Rejection<<P as Policy>::Impossible, <P as Policy>::Reason>>;
