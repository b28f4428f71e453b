//! What is noted on a request's way, and survives a way that is cut short.

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
    outcome::{AttemptRecord, Outcome, Reused},
    reply::Reply,
    request::Request,
    send_log::Logged,
};

/// So many attempts are listed. Of a longer way the first and the last are kept.
const LISTED: usize = 32;

/// The way of one request.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) started: Instant,
    pub(crate) counts: Counts,
    /// Those of the routes that have failed.
    before: Counts,
    pub(crate) usage: Option<Usage>,
    pub(crate) cost: Option<Money>,
    pub(crate) waited: Duration,
    attempts: Vec<AttemptRecord>,
    sends: u32,
    /// It was sent again after a send that may have been processed.
    possible_duplicate: bool,
    /// A send may have been processed, for all that is known.
    maybe_processed: bool,
    /// When the attempts under way began, and which they are. Dropped now, they may have been sent.
    under_way: [Option<(Instant, u32)>; 2],
    /// What a log of what is sent has of it.
    pub(super) logged: Logged,
    /// An earlier run may have sent it.
    maybe_sent_before: bool,
    /// Sending it twice does nothing twice.
    repeatable: bool,
    last_failure: Option<String>,
    /// Which route it is on.
    route: usize,
    /// Whose answer it has.
    reused: Option<Reused>,
}

/// Which of the attempts under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnderWay {
    First,
    /// Beside the first, which is slow.
    Second,
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
            before: Counts::default(),
            usage: None,
            cost: None,
            waited: Duration::ZERO,
            attempts: Vec::new(),
            sends: 0,
            possible_duplicate: false,
            maybe_processed: false,
            under_way: [None; 2],
            logged: Logged::default(),
            maybe_sent_before: false,
            repeatable: false,
            last_failure: None,
            route: 0,
            reused: None,
        }
    }

    /// An earlier run may have sent it, and has written that down for good.
    pub(crate) fn was_maybe_sent_before(&mut self) {
        self.maybe_sent_before = true;
        self.logged = Logged::ForGood;
    }

    pub(crate) fn sends(&self) -> u32 {
        self.sends
    }

    /// Whether it was sent, or may have been. An attempt that found no connection is none.
    pub(crate) fn was_tried(&self) -> bool {
        self.sends > 0 || self.under_way[0].is_some()
    }

    /// Which attempt the next one is, from 1.
    pub(crate) fn next_attempt(&self) -> u32 {
        self.sends + self.counts.unreached + 1 + u32::from(self.under_way[0].is_some())
    }

    /// Its route has failed: on another one it begins anew, with what was sent so far.
    pub(crate) fn takes_another_route(&mut self, route: usize) {
        let counts = std::mem::take(&mut self.counts);
        self.before.charged += counts.charged;
        self.before.refused += counts.refused;
        self.route = route;
        self.reused = None;
    }

    pub(crate) fn reused(&self) -> Option<Reused> {
        self.reused
    }

    /// The answer, or the refusal, comes from elsewhere.
    pub(crate) fn reuses(&mut self, reused: Reused) {
        self.reused = Some(reused);
    }

    /// What went wrong last, behind a few words; nothing if nothing did.
    pub(crate) fn last(&self, words: &str) -> String {
        self.last_failure.as_deref().map(|last| format!("{words}{last}")).unwrap_or_default()
    }

    /// The attempts under way: when each began, and which it is.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = (Instant, u32)> {
        self.under_way.into_iter().flatten()
    }

    /// An attempt goes out: says which one it is, from 1.
    pub(crate) fn begins(&mut self, attempt: UnderWay, now: Instant, repeatable: bool) -> u32 {
        let number = self.next_attempt();
        self.under_way[attempt as usize] = Some((now, number));
        self.repeatable = repeatable;
        self.maybe_processed |= self.maybe_sent_before && !repeatable;
        number
    }

    /// The answer has come.
    pub(crate) fn arrived(&mut self, attempt: UnderWay, status: StatusCode, usage: Option<Usage>) {
        self.counts.charged += 1;
        self.usage = usage;
        let (delivery, status) = (Delivery::Replied, Some(status));
        let ended = Ended { delivery, status, failure: None, charged: true };
        self.ended(attempt, Instant::now(), ended);
    }

    /// The other one has brought the end of the request: nobody waits for this one, and it may have been processed.
    pub(crate) fn given_up(&mut self, attempt: UnderWay) {
        self.counts.charged += 1;
        let failure = Some(ErrorKind::Cancelled);
        let ended = Ended { delivery: Delivery::MaybeSent, status: None, failure, charged: true };
        self.ended(attempt, Instant::now(), ended);
        self.maybe_processed |= !self.repeatable;
    }

    /// The attempt has failed, and was judged.
    pub(crate) fn failed(
        &mut self,
        attempt: UnderWay,
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
            Effect::None | Effect::Account => {}
        }
        counts.unreadable += u32::from(failure.kind == ErrorKind::Unreadable);
        self.last_failure = Some(message.to_owned());
        let ended = Ended {
            delivery: failure.delivery,
            status: failure.status,
            failure: Some(failure.kind),
            charged: verdict.charged,
        };
        self.ended(attempt, now, ended);
        // Only a send after this one can be a duplicate of it.
        self.maybe_processed |= failure.maybe_processed() && !self.repeatable;
    }

    fn ended(&mut self, attempt: UnderWay, now: Instant, how: Ended) {
        let began = self.under_way[attempt as usize].take().map_or(now, |(began, _)| began);
        if how.delivery != Delivery::NotSent {
            self.sends += 1;
            self.possible_duplicate |= self.maybe_processed;
        }
        if self.attempts.len() == LISTED {
            self.attempts.remove(LISTED / 2);
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
        for attempt in [UnderWay::First, UnderWay::Second] {
            if self.under_way[attempt as usize].is_some() {
                let failure = result.as_ref().err().map(Error::kind);
                let delivery = Delivery::MaybeSent;
                self.ended(attempt, now, Ended { delivery, status: None, failure, charged: false });
            }
        }
        Outcome {
            index,
            id,
            result,
            sends: self.sends,
            charged: self.before.charged + self.counts.charged,
            refused: self.before.refused + self.counts.refused,
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
