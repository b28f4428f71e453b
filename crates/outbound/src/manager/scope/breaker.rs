//! The circuit breaker of an account: whether a refused key or refused money concerns all its requests.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::stopped::{Stopped, later_end};

/// After this time another witness is sent beside one that has not answered.
const WITNESS_TIMEOUT: Duration = Duration::from_secs(10);

/// How long everything stops after a confirmed refusal, unless the server says how long. Then one request finds out
/// whether it still holds: the credit may have been refilled. A refused request costs nothing.
pub(super) const REFUSAL_STOP: Duration = Duration::from_secs(60);

/// The state of the key and the money of an account. Pure.
///
/// ```text
///                refusal             a witness of another model is refused alike, and no other is in flight
/// normal ──────────────────────▶ held ────────────────────────────────────────────────────────────────────▶ stopped
///    ◀───────────────────────────── ◀───────────────────────────────────────────────────────────────────────
///      a call sent after the refused one succeeds: the refusal was that request's own          its time is over
/// ```
///
/// A witness of the same model that is refused alike stops only that model: the credit may be too small for an
/// expensive model, and enough for others. The account stays held, and the next request of any model is the next
/// witness.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    state: State,
    in_flight: InFlight,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Normal,
    Held(Hold),
    Stopped {
        why: Stopped,
        /// The hold that goes on after the stop, if a refusal caused it.
        hold: Option<Hold>,
    },
}

/// A refusal that may concern all requests.
#[derive(Debug, Clone, Copy)]
struct Hold {
    /// The number of the call that was refused.
    refused: u64,
    since: Instant,
    /// The latest end that the refusals gave.
    until: Option<Instant>,
    /// The model that was refused. `None`: several models were.
    model: Option<usize>,
    /// When the last request was let through as a witness.
    witness: Option<Instant>,
}

/// What follows from a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RefusalResult {
    /// Nothing new.
    Unchanged,
    /// The account is held until a witness decides.
    Held,
    /// The model is stopped.
    StopsModel(Stopped),
    /// The account is stopped.
    StopsAccount,
}

/// Whether a request of the account may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AccountDecision {
    Go,
    /// The account is held. Not before this instant, unless something changes.
    Wait(Instant),
    Stopped(Stopped),
}

impl Breaker {
    /// Whether a request may be sent now. If the account is held, a request that may be sent is the witness.
    pub(crate) fn decide(&mut self, now: Instant) -> AccountDecision {
        if let State::Stopped { why, hold } = &mut self.state {
            if why.until.is_none_or(|until| now < until) {
                return AccountDecision::Stopped(why.clone());
            }
            self.state = hold.take().map_or(State::Normal, State::Held);
        }
        let State::Held(hold) = &mut self.state else { return AccountDecision::Go };
        let last = hold.witness.unwrap_or(hold.since);
        // A witness that was let through and not sent yet has as much time.
        let witness_is_in_flight = self.in_flight.after(hold.refused) > 0 || hold.witness.is_some();
        if witness_is_in_flight && now < last + WITNESS_TIMEOUT {
            return AccountDecision::Wait(last + WITNESS_TIMEOUT);
        }
        hold.witness = Some(now);
        AccountDecision::Go
    }

    /// Whether the account is held.
    pub(crate) fn is_held(&self) -> bool {
        matches!(self.state, State::Held(_))
    }

    /// A call is sent. Returns its number.
    pub(crate) fn sent(&mut self) -> u64 {
        self.in_flight.begin()
    }

    /// A call has ended, and its result says nothing about the account. Returns whether the next request may be the
    /// witness.
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

    /// The witness is not sent after all.
    pub(crate) fn witness_withdrawn(&mut self) {
        if let State::Held(hold) = &mut self.state {
            hold.witness = None;
        }
    }

    /// A call has succeeded. Returns whether that lifts a hold, or a stop that came from one. The end of the call has
    /// to be reported with [`ended`](Self::ended) as well.
    pub(crate) fn succeeded(&mut self, call: u64) -> bool {
        let lifts = match &self.state {
            State::Held(hold) | State::Stopped { hold: Some(hold), .. } => call > hold.refused,
            _ => false,
        };
        if lifts {
            self.state = State::Normal;
        }
        lifts
    }

    /// A call was refused for its key or its money.
    pub(crate) fn refused(&mut self, call: u64, model: usize, now: Instant, why: Stopped) -> RefusalResult {
        self.in_flight.end(call);
        match &mut self.state {
            State::Normal => {
                let until = why.until;
                let hold = Hold { refused: call, since: now, until, model: Some(model), witness: None };
                self.state = State::Held(hold);
                RefusalResult::Held
            }
            State::Held(hold) if call > hold.refused => {
                hold.until = later_end(hold.until, why.until);
                hold.model = hold.model.filter(|known| *known == model);
                // Other calls that were sent after the refused one may still succeed. That would show that both
                // refusals concerned only their own requests.
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
                known.until = later_end(known.until, why.until);
                RefusalResult::Unchanged
            }
        }
    }

    /// Stops the account. A stop that lasts longer stays as it is.
    pub(crate) fn stop(&mut self, why: Stopped) {
        match &mut self.state {
            State::Stopped { why: known, .. } if known.holds_as_long_as(&why) => {}
            state => *state = State::Stopped { why, hold: None },
        }
    }

    /// Why nothing is sent now, if the account is stopped.
    pub(crate) fn stopped(&self, now: Instant) -> Option<&Stopped> {
        match &self.state {
            State::Stopped { why, .. } if why.until.is_none_or(|until| now < until) => Some(why),
            _ => None,
        }
    }

    /// Lifts a hold or a stop.
    pub(crate) fn resume(&mut self) {
        self.state = State::Normal;
    }
}

/// The calls in flight by number: a window from the oldest to the newest.
#[derive(Debug, Default)]
struct InFlight {
    /// The number of the first call in `calls`.
    first: u64,
    calls: VecDeque<bool>,
}

impl InFlight {
    fn begin(&mut self) -> u64 {
        self.calls.push_back(true);
        self.first + self.calls.len() as u64 - 1
    }

    fn end(&mut self, call: u64) {
        let index = call.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some(is_in_flight) = index.and_then(|index| self.calls.get_mut(index)) {
            *is_in_flight = false;
        }
        while self.calls.front() == Some(&false) {
            self.calls.pop_front();
            self.first += 1;
        }
    }

    /// How many calls in flight were sent after this one.
    fn after(&self, call: u64) -> usize {
        let skip = usize::try_from((call + 1).saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.calls.iter().skip(skip).filter(|is_in_flight| **is_in_flight).count()
    }
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
