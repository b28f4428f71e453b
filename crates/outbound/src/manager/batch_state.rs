//! The state that a batch shares with the tasks of its requests.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    num::NonZeroU32,
    sync::Arc,
    task::{Poll, Waker},
};

use http::StatusCode;
use parking_lot::Mutex;

use super::{error::ErrorKind, outcome::Outcome, request::Request, scope::Stopped};

/// How many requests may be blocked, and how many outcomes may wait to be read, in multiples of `max_concurrent`.
const BACKLOG_FACTOR: usize = 4;

pub(crate) struct BatchState {
    state: Mutex<State>,
    /// `max_concurrent` of all endpoints together.
    max_concurrent: usize,
    /// With one endpoint, a stop of the account holds for every request of the batch, so no further one is taken.
    one_endpoint: bool,
}

#[derive(Default)]
struct State {
    ready: usize,
    in_flight: usize,
    blocked: usize,
    /// Outcomes that wait to be read, in the order in which they came.
    finished: VecDeque<Outcome>,
    /// Requests that a stop kept from being sent, by index.
    rest: BTreeMap<usize, Request>,
    /// Why the whole batch is stopped.
    stopped: Option<Stopped>,
    /// Why the account or the model of some requests is stopped. The first such stop.
    seen_stop: Option<Stopped>,
    /// Whether a whole account was stopped, and not just one model.
    account_stopped: bool,
    /// Whether a request has succeeded.
    succeeded: bool,
    equal: EqualRefusals,
    /// The task that polls the batch.
    reader: Option<Waker>,
}

/// The stage of a request, as its batch counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It waits for its turn under the limits.
    Ready,
    /// It was sent and has no reply yet.
    InFlight,
    /// It backs off, or waits for the end of a refusal or an outage, or for another request.
    Blocked,
}

/// The stage of a request, reported to its batch. Outside a batch the stage is only kept.
#[derive(Debug)]
pub(crate) struct BatchMember {
    batch: Option<Arc<BatchState>>,
    stage: Stage,
}

impl BatchMember {
    /// A request that waits for its turn.
    pub(crate) fn ready(batch: Option<Arc<BatchState>>) -> Self {
        Self { batch, stage: Stage::Ready }
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    pub(crate) fn batch(&self) -> Option<Arc<BatchState>> {
        self.batch.clone()
    }

    pub(crate) fn move_to(&mut self, stage: Stage) {
        if self.stage != stage
            && let Some(batch) = &self.batch
        {
            batch.moved(self.stage, stage);
        }
        self.stage = stage;
    }

    /// Why the whole batch is stopped, if it is.
    pub(crate) fn stopped(&self) -> Option<Stopped> {
        self.batch.as_ref().and_then(|batch| batch.batch_stop())
    }

    /// Stops the whole batch.
    pub(crate) fn stop(&self, why: Stopped) {
        if let Some(batch) = &self.batch {
            batch.stop(why);
        }
    }

    /// Reports that the account or the model of the request is stopped. `whole_account`: it is the account.
    pub(crate) fn scope_stopped(&self, why: &Stopped, whole_account: bool) {
        if let Some(batch) = &self.batch {
            batch.scope_stopped(why, whole_account);
        }
    }
}

/// Detects a batch that is refused as a whole: its first outcomes are the same refusal.
#[derive(Debug, Default)]
struct EqualRefusals {
    /// How many equal refusals stop the batch. `None`: nothing is counted, since the user said so or another outcome
    /// came.
    enough: Option<NonZeroU32>,
    count: u32,
    first: Option<(StatusCode, ErrorKind, Option<String>)>,
}

impl BatchState {
    pub(crate) fn new(max_concurrent: usize, equal_refusals: Option<NonZeroU32>, one_endpoint: bool) -> Self {
        let equal = EqualRefusals { enough: equal_refusals, ..EqualRefusals::default() };
        Self { state: Mutex::new(State { equal, ..State::default() }), max_concurrent, one_endpoint }
    }

    /// Whether another request may be taken from the source. If not, `reader` is woken when that changes.
    pub(super) fn takes(&self, reader: &Waker) -> bool {
        let mut state = self.state.lock();
        let takes = self.has_room(&state);
        if !takes {
            state.wait(reader);
        }
        takes
    }

    fn has_room(&self, state: &State) -> bool {
        let most = self.max_concurrent.saturating_mul(BACKLOG_FACTOR);
        let stopped = state.stopped.is_some() || (self.one_endpoint && state.account_stopped);
        !stopped
            && state.ready < self.max_concurrent
            && state.blocked < most
            && state.finished.len() < most
            && state.rest.len() < most
    }

    pub(super) fn taken(&self) {
        self.state.lock().ready += 1;
    }

    /// A request has changed its stage.
    pub(crate) fn moved(&self, from: Stage, to: Stage) {
        let mut state = self.state.lock();
        let had_room = self.has_room(&state);
        *state.count(from) -= 1;
        *state.count(to) += 1;
        if !had_room && self.has_room(&state) {
            state.wake();
        }
    }

    /// A request has its outcome, or a stop kept it from being sent. Says whether that stops the batch.
    pub(crate) fn ended(&self, stage: Stage, mut outcome: Outcome) -> bool {
        let mut state = self.state.lock();
        *state.count(stage) -= 1;
        let mut stops = false;
        let held_back = outcome.error_kind() == Some(ErrorKind::Stopped);
        match outcome.unsent.take_if(|_| held_back) {
            Some(request) => drop(state.rest.insert(outcome.index, request)),
            None => {
                if let Some(why) = state.equal.note(&outcome) {
                    state.stopped = Some(why);
                    stops = true;
                }
                state.succeeded |= outcome.result.is_ok();
                state.finished.push_back(outcome);
            }
        }
        state.wake();
        stops
    }

    /// Stops the whole batch.
    pub(crate) fn stop(&self, why: Stopped) {
        let mut state = self.state.lock();
        state.stopped.get_or_insert(why);
        state.wake();
    }

    /// Records that the account or the model of a request is stopped. `whole_account`: it is the account.
    pub(crate) fn scope_stopped(&self, why: &Stopped, whole_account: bool) {
        let mut state = self.state.lock();
        state.account_stopped |= whole_account;
        state.seen_stop.get_or_insert_with(|| why.clone());
    }

    pub(super) fn stopped(&self) -> Option<Stopped> {
        let state = self.state.lock();
        state.stopped.clone().or_else(|| state.seen_stop.clone())
    }

    /// Why the whole batch is stopped, if it is.
    pub(crate) fn batch_stop(&self) -> Option<Stopped> {
        self.state.lock().stopped.clone()
    }

    pub(super) fn is_held_back(&self, index: usize) -> bool {
        self.state.lock().rest.contains_key(&index)
    }

    pub(super) fn take_rest(&self) -> Vec<Request> {
        std::mem::take(&mut self.state.lock().rest).into_values().collect()
    }

    /// The next outcome. With `first` it is the one of that index.
    pub(super) fn poll_outcome(
        &self,
        first: Option<usize>,
        ended: bool,
        reader: &Waker,
    ) -> Poll<Option<Outcome>> {
        let mut state = self.state.lock();
        let had_room = self.has_room(&state);
        let index = match first {
            Some(first) => state.finished.iter().position(|outcome| outcome.index == first),
            None => Some(0),
        };
        if let Some(outcome) = index.and_then(|index| state.finished.remove(index)) {
            if !had_room && self.has_room(&state) {
                state.wake();
            }
            return Poll::Ready(Some(outcome));
        }
        let nobody_runs = state.ready + state.in_flight + state.blocked == 0 && state.finished.is_empty();
        // The source may still bring requests for other models. But nothing says so, so the batch ends.
        let only_stops = self.one_endpoint && state.seen_stop.is_some() && !state.succeeded;
        if nobody_runs && (ended || only_stops || !self.has_room(&state)) {
            return Poll::Ready(None);
        }
        state.wait(reader);
        Poll::Pending
    }
}

impl State {
    fn count(&mut self, stage: Stage) -> &mut usize {
        match stage {
            Stage::Ready => &mut self.ready,
            Stage::InFlight => &mut self.in_flight,
            Stage::Blocked => &mut self.blocked,
        }
    }

    fn wait(&mut self, reader: &Waker) {
        match &mut self.reader {
            Some(known) => known.clone_from(reader),
            None => self.reader = Some(reader.clone()),
        }
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl EqualRefusals {
    /// Counts an outcome. Says why the batch stops, if it does.
    fn note(&mut self, outcome: &Outcome) -> Option<Stopped> {
        let enough = self.enough?;
        // A reused refusal is no new answer of the server.
        if outcome.reused.is_some() {
            return None;
        }
        let error = outcome.result.as_ref().err().filter(|error| error.is_terminal());
        let refusal = error.and_then(|error| {
            let status = error.reply()?.status;
            Some((status, error.kind(), error.code().map(str::to_owned)))
        });
        let same = refusal.is_some() && (self.first.is_none() || self.first == refusal);
        if !same {
            self.enough = None;
            return None;
        }
        self.count += 1;
        self.first = refusal;
        if self.count < enough.get() {
            return None;
        }
        self.enough = None;
        let error = error?;
        let message = format!("the first {enough} outcomes are the same refusal: {error}");
        Some(Stopped { kind: error.kind(), message, until: None })
    }
}

impl fmt::Debug for BatchState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("BatchState")
            .field("ready", &state.ready)
            .field("in_flight", &state.in_flight)
            .field("blocked", &state.blocked)
            .field("finished", &state.finished.len())
            .field("rest", &state.rest.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
