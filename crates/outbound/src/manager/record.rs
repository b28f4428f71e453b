//! The record of a request: what happened to it so far. It outlives an aborted task.

use std::time::Duration;

use http::StatusCode;
use outbound_client::Delivery;
use outbound_provider::Usage;
use tokio::time::Instant;

use super::{
    attempt::Failure,
    error::{Error, ErrorKind},
    judge::{Counts, Effect, Verdict},
    money::Money,
    outcome::{AttemptRecord, Outcome},
    reply::Reply,
    request::Request,
    reused::Reused,
};

/// How many attempts are listed. If there are more, the first and the last are kept.
const MAX_LISTED: usize = 32;

/// What happened to one request so far.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) started: Instant,
    pub(crate) counts: Counts,
    /// The counts of the routes that have failed.
    earlier_routes: Counts,
    pub(crate) usage: Option<Usage>,
    pub(crate) cost: Option<Money>,
    pub(crate) waited: Duration,
    attempts: Vec<AttemptRecord>,
    sends: u32,
    /// The request was sent again after an attempt that may have been processed.
    possible_duplicate: bool,
    /// An attempt may have been processed, so the next send may be a duplicate.
    maybe_processed: bool,
    /// When the attempts in flight began, and their numbers. If the task is aborted now, they may have been sent.
    in_flight: [Option<(Instant, u32)>; 2],
    /// What the [`SendLog`](super::SendLog) says of the request.
    pub(super) logged: Logged,
    /// An earlier run may have sent it.
    maybe_sent_before: bool,
    /// Sending the request twice has no further effect.
    repeatable: bool,
    last_failure: Option<String>,
    /// The present route.
    route: usize,
    /// Where the answer came from, if not from a call of this request.
    reused: Option<Reused>,
}

/// The attempts that may be in flight at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttemptSlot {
    Primary,
    /// A second attempt beside a slow first one.
    Hedge,
}

/// What the [`SendLog`](super::SendLog) says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Logged {
    /// Nothing, or that it was not processed.
    #[default]
    No,
    /// That an earlier run may have sent it. The log was not asked in this run.
    Earlier,
    /// That it is about to be sent.
    Sending,
    /// That it was sent and may have been processed. Nothing that comes later takes this back.
    Permanent,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy)]
struct Ended {
    delivery: Delivery,
    status: Option<StatusCode>,
    failure: Option<ErrorKind>,
    charged: bool,
}

impl Record {
    pub(crate) fn new(started: Instant) -> Self {
        Self {
            started,
            counts: Counts::default(),
            earlier_routes: Counts::default(),
            usage: None,
            cost: None,
            waited: Duration::ZERO,
            attempts: Vec::new(),
            sends: 0,
            possible_duplicate: false,
            maybe_processed: false,
            in_flight: [None; 2],
            logged: Logged::default(),
            maybe_sent_before: false,
            repeatable: false,
            last_failure: None,
            route: 0,
            reused: None,
        }
    }

    /// An earlier run may have sent the request, and its log says so.
    pub(crate) fn was_maybe_sent_before(&mut self) {
        self.maybe_sent_before = true;
        self.logged = Logged::Earlier;
    }

    pub(crate) fn sends(&self) -> u32 {
        self.sends
    }

    /// Whether the request was sent, or may have been. An attempt that found no connection does not count.
    pub(crate) fn was_tried(&self) -> bool {
        self.sends > 0 || self.in_flight[0].is_some()
    }

    /// The number of the next attempt, from 1.
    pub(crate) fn next_attempt(&self) -> u32 {
        self.sends + self.counts.unreached + 1 + u32::from(self.in_flight[0].is_some())
    }

    /// The route has failed. The counts begin again on the next route; the list of attempts goes on.
    pub(crate) fn start_route(&mut self, route: usize) {
        let counts = std::mem::take(&mut self.counts);
        self.earlier_routes.charged += counts.charged;
        self.earlier_routes.refused += counts.refused;
        self.route = route;
        self.reused = None;
    }

    pub(crate) fn reused(&self) -> Option<Reused> {
        self.reused
    }

    /// The answer, or the refusal, comes from another request or from the cache.
    pub(crate) fn reuses(&mut self, reused: Reused) {
        self.reused = Some(reused);
    }

    /// The last failure, after the given words. Empty if there was none.
    pub(crate) fn last(&self, words: &str) -> String {
        self.last_failure.as_deref().map(|last| format!("{words}{last}")).unwrap_or_default()
    }

    /// The attempts in flight: when each began, and its number.
    pub(crate) fn in_flight(&self) -> impl Iterator<Item = (Instant, u32)> {
        self.in_flight.into_iter().flatten()
    }

    /// An attempt begins. Returns its number, from 1.
    pub(crate) fn start_attempt(&mut self, slot: AttemptSlot, now: Instant, repeatable: bool) -> u32 {
        let number = self.next_attempt();
        self.in_flight[slot as usize] = Some((now, number));
        self.repeatable = repeatable;
        self.maybe_processed |= self.maybe_sent_before && !repeatable;
        number
    }

    /// An attempt has brought the answer.
    pub(crate) fn succeeded(&mut self, slot: AttemptSlot, status: StatusCode, usage: Option<Usage>) {
        self.counts.charged += 1;
        self.usage = usage;
        let (delivery, status) = (Delivery::Replied, Some(status));
        let ended = Ended { delivery, status, failure: None, charged: true };
        self.ended(slot, Instant::now(), ended);
    }

    /// The other attempt has ended the request, so this one is aborted. It may have been processed.
    pub(crate) fn abandoned(&mut self, slot: AttemptSlot) {
        self.counts.charged += 1;
        let failure = Some(ErrorKind::Cancelled);
        let ended = Ended { delivery: Delivery::MaybeSent, status: None, failure, charged: true };
        self.ended(slot, Instant::now(), ended);
        self.maybe_processed |= !self.repeatable;
    }

    /// An attempt has failed, and was judged.
    pub(crate) fn failed(
        &mut self,
        slot: AttemptSlot,
        failure: &Failure,
        verdict: Verdict,
        message: &str,
        now: Instant,
    ) {
        let counts = &mut self.counts;
        counts.charged += u32::from(verdict.charged);
        match verdict.effect {
            Effect::Refused { .. } => counts.refused += 1,
            Effect::Overloaded => counts.overloads += 1,
            Effect::Unreachable { .. } => counts.unreached += 1,
            Effect::Failed => counts.free_probes += u32::from(!verdict.charged),
            Effect::None | Effect::AccountRefused => {}
        }
        counts.unreadable += u32::from(failure.kind == ErrorKind::Unreadable);
        self.last_failure = Some(message.to_owned());
        let ended = Ended {
            delivery: failure.delivery,
            status: failure.status,
            failure: Some(failure.kind),
            charged: verdict.charged,
        };
        self.ended(slot, now, ended);
        // Set after the attempt was counted: only a later send can be a duplicate of this one.
        self.maybe_processed |= failure.maybe_processed() && !self.repeatable;
    }

    fn ended(&mut self, slot: AttemptSlot, now: Instant, how: Ended) {
        let began = self.in_flight[slot as usize].take().map_or(now, |(began, _)| began);
        if how.delivery != Delivery::NotSent {
            self.sends += 1;
            self.possible_duplicate |= self.maybe_processed;
        }
        if self.attempts.len() == MAX_LISTED {
            self.attempts.remove(MAX_LISTED / 2);
        }
        self.attempts.push(AttemptRecord {
            after: began.saturating_duration_since(self.started),
            took: now.saturating_duration_since(began),
            delivery: how.delivery,
            status: how.status,
            failure: how.failure,
            charged: how.charged,
            route: self.route,
        });
    }

    pub(crate) fn into_outcome(
        mut self,
        result: Result<Reply, Error>,
        id: Option<String>,
        index: usize,
        unsent: Option<Request>,
    ) -> Outcome {
        let now = Instant::now();
        for slot in [AttemptSlot::Primary, AttemptSlot::Hedge] {
            if self.in_flight[slot as usize].is_some() {
                let failure = result.as_ref().err().map(Error::kind);
                let delivery = Delivery::MaybeSent;
                self.ended(slot, now, Ended { delivery, status: None, failure, charged: false });
            }
        }
        Outcome {
            index,
            id,
            result,
            sends: self.sends,
            charged: self.earlier_routes.charged + self.counts.charged,
            refused: self.earlier_routes.refused + self.counts.refused,
            route: self.route,
            usage: self.usage,
            cost: self.cost,
            reused: self.reused,
            waited: self.waited,
            elapsed: now.saturating_duration_since(self.started),
            possible_duplicate: self.possible_duplicate,
            attempts: self.attempts,
            unsent,
        }
    }
}

#[cfg(test)]
mod tests;
