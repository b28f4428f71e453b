//! When a key or its money is refused: whether that holds for all requests of the account, found out by witnesses.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::super::error::ErrorKind;

/// A witness that has not answered after this time is joined by another.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why nothing is sent any more, and until when. Told by [`Batch::stopped`](super::super::Batch::stopped).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// What was refused: `Auth`, `QuotaSpent`, `RateLimited` (a pause longer than `max_pause`), `Connection` (nobody was
    /// ever there), or the kind of the equal refusals.
    pub kind: ErrorKind,
    /// What the server said, in one line, without secrets.
    pub message: String,
    /// How long it holds; `None` until [`resume`](super::super::RequestManager::resume).
    pub until: Option<Instant>,
}

impl Stopped {
    /// Whether this one ends no earlier than the other.
    pub(super) fn holds_as_long_as(&self, other: &Self) -> bool {
        longer(self.until, other.until) == self.until
    }
}

/// What is known about an account's key and money. Pure.
///
/// ```text
///                refusal             a witness is refused alike, and no other is under way
///   open ──────────────────────▶ held ─────────────────────────────────────────────▶ stopped
///    ◀─────────────────────────────
///      a call sent after the refused one succeeds: the refusal was that request's own
/// ```
#[derive(Debug, Default)]
pub(crate) struct Standing {
    state: State,
    in_flight: InFlight,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Open,
    Held {
        /// The number of the call that was refused.
        refused: u64,
        since: Instant,
        why: Stopped,
        /// When the last witness was sent on purpose, and the number it got once it was sent.
        witness: Option<Instant>,
    },
    Stopped(Stopped),
}

/// Whether a request of the account may go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Leave {
    Go,
    /// The account is held: not before this instant, unless something changes.
    Wait(Instant),
    Stopped(Stopped),
}

impl Standing {
    /// Whether a request may go out now. Where the account is held, the one that may go is the witness.
    pub(crate) fn ask(&mut self, now: Instant) -> Leave {
        let witnesses = match &self.state {
            State::Open => return Leave::Go,
            State::Stopped(why) if why.until.is_none_or(|until| now < until) => {
                return Leave::Stopped(why.clone());
            }
            State::Stopped(_) => {
                self.state = State::Open;
                return Leave::Go;
            }
            State::Held { refused, .. } => self.in_flight.after(*refused),
        };
        let State::Held { since, witness, .. } = &mut self.state else { return Leave::Go };
        let last = witness.unwrap_or(*since);
        // One that was let go and is not in flight yet has as long.
        let somebody_is_out = witnesses > 0 || witness.is_some();
        if somebody_is_out && now < last + PATIENCE {
            return Leave::Wait(last + PATIENCE);
        }
        *witness = Some(now);
        Leave::Go
    }

    /// Whether it is being found out if a refusal holds for all.
    pub(crate) fn is_held(&self) -> bool {
        matches!(self.state, State::Held { .. })
    }

    /// A call is sent: its number.
    pub(crate) fn sent(&mut self) -> u64 {
        self.in_flight.begin()
    }

    /// A call has ended without a word on the account. Whoever waits may be the next witness.
    pub(crate) fn ended(&mut self, call: u64) -> bool {
        self.in_flight.end(call);
        match &mut self.state {
            State::Held { refused, witness, .. } if call > *refused => {
                *witness = None;
                true
            }
            _ => false,
        }
    }

    /// The request that was let go as a witness is not sent after all.
    pub(crate) fn withdrawn(&mut self) {
        if let State::Held { witness, .. } = &mut self.state {
            *witness = None;
        }
    }

    /// A call has succeeded. Says whether that lifts a hold.
    pub(crate) fn succeeded(&mut self, call: u64) -> bool {
        let lifts = matches!(&self.state, State::Held { refused, .. } if call > *refused);
        if lifts {
            self.state = State::Open;
        }
        self.in_flight.end(call);
        lifts
    }

    /// A call was refused for its key or its money. Says whether anything changed.
    pub(crate) fn refused(&mut self, call: u64, now: Instant, why: Stopped) -> bool {
        self.in_flight.end(call);
        match &mut self.state {
            State::Open => {
                self.state = State::Held { refused: call, since: now, why, witness: None };
                true
            }
            State::Held { refused, since, why: first, .. } if call > *refused => {
                first.until = longer(first.until, why.until);
                // Others that were sent after the refused one may still succeed, so that both refusals were their own.
                if self.in_flight.after(*refused) > 0 && now < *since + PATIENCE {
                    return false;
                }
                let until = first.until;
                self.state = State::Stopped(Stopped { until, ..why });
                true
            }
            State::Held { .. } => false,
            State::Stopped(known) => {
                known.until = longer(known.until, why.until);
                false
            }
        }
    }

    /// Nothing is sent any more. A stop that holds longer is not shortened.
    pub(crate) fn stop(&mut self, why: Stopped) {
        match &mut self.state {
            State::Stopped(known) if known.holds_as_long_as(&why) => {}
            state => *state = State::Stopped(why),
        }
    }

    /// Why nothing is sent now.
    pub(crate) fn stopped(&self, now: Instant) -> Option<&Stopped> {
        match &self.state {
            State::Stopped(why) if why.until.is_none_or(|until| now < until) => Some(why),
            _ => None,
        }
    }

    /// Lifts a hold or a stop.
    pub(crate) fn resume(&mut self) {
        self.state = State::Open;
    }
}

/// The later of two ends, of which `None` is none at all.
fn longer(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    Some(one?.max(other?))
}

/// The calls under way, by number: a window from the oldest to the newest.
#[derive(Debug, Default)]
struct InFlight {
    /// The number of the first in `calls`.
    first: u64,
    calls: VecDeque<bool>,
}

impl InFlight {
    fn begin(&mut self) -> u64 {
        self.calls.push_back(true);
        self.first + self.calls.len() as u64 - 1
    }

    fn end(&mut self, call: u64) {
        let place = call.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        if let Some(under_way) = place.and_then(|place| self.calls.get_mut(place)) {
            *under_way = false;
        }
        while self.calls.front() == Some(&false) {
            self.calls.pop_front();
            self.first += 1;
        }
    }

    /// How many were sent after this one.
    fn after(&self, call: u64) -> usize {
        let skip = usize::try_from((call + 1).saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.calls.iter().skip(skip).filter(|under_way| **under_way).count()
    }
}

#[cfg(test)]
#[path = "stop_tests.rs"]
mod tests;
