//! When a key or its money is refused: whether that holds for all requests of the account, found out by witnesses.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::stopped::{Stopped, longer};

/// A witness that has not answered after this time is joined by another.
const WITNESS_TIMEOUT: Duration = Duration::from_secs(10);

/// So long nothing is sent after a refusal that holds for all, unless the server said how long. Then one request finds out
/// whether it still holds: money can be paid in, and a key allowed again. A refusal costs nothing.
pub(super) const REFUSAL_STOP: Duration = Duration::from_secs(60);

/// What is known about an account's key and money. Pure.
///
/// ```text
///                refusal             a witness of another model is refused alike, and no other is under way
///   open ──────────────────────▶ held ────────────────────────────────────────────────────────────────────▶ stopped
///    ◀───────────────────────────── ◀───────────────────────────────────────────────────────────────────────
///      a call sent after the refused one succeeds: the refusal was that request's own          its time is over
/// ```
///
/// A witness of the same model that is refused alike stops that model only: money that does not reach for a dear one may
/// do for others. The account stays held, and the next request, of whatever model, is the next witness.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    state: State,
    in_flight: InFlight,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Open,
    Held(Hold),
    Stopped {
        why: Stopped,
        /// What goes on once its time is over, if a refusal is what stopped it.
        hold: Option<Hold>,
    },
}

/// A refusal that may hold for all.
#[derive(Debug, Clone, Copy)]
struct Hold {
    /// The number of the call that was refused.
    refused: u64,
    since: Instant,
    /// The latest time that was told with the refusals.
    until: Option<Instant>,
    /// The model that was refused. `None`: several were.
    model: Option<usize>,
    /// When the last witness was sent on purpose.
    witness: Option<Instant>,
}

/// What a refusal comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RefusalResult {
    /// Nothing new.
    Unchanged,
    /// Whether it holds for all has to be found out.
    Held,
    /// It holds for this model.
    StopsModel(Stopped),
    /// It holds for all.
    StopsAccount,
}

/// Whether a request of the account may go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AccountDecision {
    Go,
    /// The account is held: not before this instant, unless something changes.
    Wait(Instant),
    Stopped(Stopped),
}

impl Breaker {
    /// Whether a request may go out now. Where the account is held, the one that may go is the witness.
    pub(crate) fn decide(&mut self, now: Instant) -> AccountDecision {
        if let State::Stopped { why, hold } = &mut self.state {
            if why.until.is_none_or(|until| now < until) {
                return AccountDecision::Stopped(why.clone());
            }
            self.state = hold.take().map_or(State::Open, State::Held);
        }
        let State::Held(hold) = &mut self.state else { return AccountDecision::Go };
        let last = hold.witness.unwrap_or(hold.since);
        // One that was let go and is not in flight yet has as long.
        let witness_is_in_flight = self.in_flight.after(hold.refused) > 0 || hold.witness.is_some();
        if witness_is_in_flight && now < last + WITNESS_TIMEOUT {
            return AccountDecision::Wait(last + WITNESS_TIMEOUT);
        }
        hold.witness = Some(now);
        AccountDecision::Go
    }

    /// Whether it is being found out if a refusal holds for all.
    pub(crate) fn is_held(&self) -> bool {
        matches!(self.state, State::Held(_))
    }

    /// A call is sent: its number.
    pub(crate) fn sent(&mut self) -> u64 {
        self.in_flight.begin()
    }

    /// A call has ended without a word on the account. Whoever waits may be the next witness.
    pub(crate) fn ended(&mut self, call: u64) -> bool {
        self.in_flight.end(call);
        match &mut self.state {
            State::Held(hold) if call > hold.refused => {
                hold.witness = None;
                true
            }
            _ => false,
        }
    }

    /// The request that was let go as a witness is not sent after all.
    pub(crate) fn witness_withdrawn(&mut self) {
        if let State::Held(hold) = &mut self.state {
            hold.witness = None;
        }
    }

    /// A call has succeeded. Says whether that lifts a hold, or a stop that came of one. That the call has
    /// [ended](Self::ended) is told as well.
    pub(crate) fn succeeded(&mut self, call: u64) -> bool {
        let lifts = match &self.state {
            State::Held(hold) | State::Stopped { hold: Some(hold), .. } => call > hold.refused,
            _ => false,
        };
        if lifts {
            self.state = State::Open;
        }
        lifts
    }

    /// A call was refused for its key or its money.
    pub(crate) fn refused(&mut self, call: u64, model: usize, now: Instant, why: Stopped) -> RefusalResult {
        self.in_flight.end(call);
        match &mut self.state {
            State::Open => {
                let until = why.until;
                let hold = Hold { refused: call, since: now, until, model: Some(model), witness: None };
                self.state = State::Held(hold);
                RefusalResult::Held
            }
            State::Held(hold) if call > hold.refused => {
                hold.until = longer(hold.until, why.until);
                hold.model = hold.model.filter(|known| *known == model);
                // Others that were sent after the refused one may still succeed, so that both refusals were their own.
                if self.in_flight.after(hold.refused) > 0 && now < hold.since + WITNESS_TIMEOUT {
                    return RefusalResult::Unchanged;
                }
                let why = Stopped { until: hold.until, ..why };
                hold.witness = None;
                if hold.model.is_some() {
                    return RefusalResult::StopsModel(why);
                }
                let hold = Some(*hold);
                self.state = State::Stopped { why, hold };
                RefusalResult::StopsAccount
            }
            State::Held(_) => RefusalResult::Unchanged,
            State::Stopped { why: known, .. } => {
                known.until = longer(known.until, why.until);
                RefusalResult::Unchanged
            }
        }
    }

    /// Nothing is sent any more. A stop that holds longer is not shortened.
    pub(crate) fn stop(&mut self, why: Stopped) {
        match &mut self.state {
            State::Stopped { why: known, .. } if known.holds_as_long_as(&why) => {}
            state => *state = State::Stopped { why, hold: None },
        }
    }

    /// Why nothing is sent now.
    pub(crate) fn stopped(&self, now: Instant) -> Option<&Stopped> {
        match &self.state {
            State::Stopped { why, .. } if why.until.is_none_or(|until| now < until) => Some(why),
            _ => None,
        }
    }

    /// Lifts a hold or a stop.
    pub(crate) fn resume(&mut self) {
        self.state = State::Open;
    }
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
#[path = "breaker_tests.rs"]
mod tests;
