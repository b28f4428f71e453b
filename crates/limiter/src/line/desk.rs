//! What a line asks of those who decide.

use std::{fmt, sync::Arc};

use tokio::time::Instant;

use super::{Caller, Line};

/// Decides who is let through. It is pure: it reads no clock and wakes nobody.
pub(crate) trait Desk: fmt::Debug + Send + Sized + 'static {
    /// What one asks for.
    type Ask: fmt::Debug + Copy + Send + 'static;
    /// What can make it impossible to let one through, ever.
    type Never: fmt::Debug + Copy + Send + 'static;
    /// What one waits for.
    type Reason: fmt::Debug + Copy + Send + 'static;

    /// Why one can never be let through, if so.
    fn never(&self, ask: &Self::Ask) -> Option<Self::Never>;

    /// Lets one through whom nobody is waiting ahead of, if that is plain to see. `false`: a round has to tell.
    fn admit_at_once(&mut self, ask: &Self::Ask, now: Instant) -> bool;

    /// Begins a round over the line, at an instant.
    fn begin(&mut self, now: Instant);

    /// Looks at the next in line, and takes what it asks for if it may have it.
    fn consider(&mut self, ask: &Self::Ask) -> Verdict;

    /// When, by what the last round has seen, another could let somebody through. `None`: time alone does not help.
    fn next_round(&self) -> Option<Instant>;

    /// Lets one through ahead of the line, whose head is `head`, where that cannot delay anybody in it.
    fn pass(&mut self, _head: &Self::Ask, _ask: &Self::Ask, _now: Instant) -> bool {
        false
    }

    /// When one could be let through behind all who are in line, at the earliest, and what it would wait for.
    /// `None`: not in any foreseeable time.
    fn estimate(&mut self, ask: &Self::Ask, now: Instant) -> (Option<Instant>, Self::Reason);

    /// What the last round has seen the head of the line wait for.
    fn reason(&self) -> Self::Reason;

    /// Nobody is let through before this, whatever else happens, if it is later than `now`.
    fn closed_until(&self, _now: Instant) -> Option<Instant> {
        None
    }

    /// One has joined the line.
    fn joined(&mut self, ask: &Self::Ask);

    /// One has left the line, let through or not.
    fn left(&mut self, ask: &Self::Ask);

    /// What one was let through for is not used.
    fn give_back(&mut self, ask: &Self::Ask);

    /// One that asked has gone away without joining the line.
    fn went_away(&mut self) {}

    /// Something was given back, or has changed. Whether [`follow`](Self::follow) has to be called for it.
    fn stir(&mut self) -> bool {
        false
    }

    /// Serves other lines that wait for something of this desk or have got a turn by it. No lock is held.
    fn follow(_line: &Arc<Line<Self>>, _now: Instant, _caller: Caller) {}
}

/// What becomes of the next in line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is let through.
    Admit,
    /// It waits; somebody behind it may pass.
    Wait,
    /// It waits, and so do all behind it.
    Stop,
}

/// Why one was not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal<N, R> {
    Closed,
    Never(N),
    /// It would have to wait: until then, if that is known.
    Late {
        now: Instant,
        until: Option<Instant>,
        reason: R,
    },
}

/// What a desk's line answers.
pub(crate) type Answer<D> = Result<(), Refusal<<D as Desk>::Never, <D as Desk>::Reason>>;
