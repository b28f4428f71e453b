//! The rate of a server that tells no limit, learned from its refusals.
//!
//! At a refusal the server has nothing left, and at the one before it had nothing left either. So what it served between
//! the two is what came in in that time. That is never more than its rate, and less only where it was full in between.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    charging::Charging,
    cost::Count,
    dimension::QuotaDimension,
    error::Bottleneck,
    hierarchy::Blocked,
    log_detector::SPAN,
    meter::{Burst, Meter},
    policy::QuotaPolicy,
};

/// What is counted while nothing is known.
const LEARNED: [QuotaDimension; 2] = [QuotaDimension::Requests, QuotaDimension::Tokens];

/// Learned limits are per minute, like most.
const WINDOW: Duration = Duration::from_secs(60);

/// The largest of so many measurements counts. In the bench of goodput, bucket and estimates, C has 1.007 with 4 and 0.986
/// with 2.
const MEASUREMENTS: usize = 4;

/// The pace is this part of what was measured, and grows by that part each second while it is what is waited for. In the bench
/// of goodput, C has 0.970 and 15 refused in 1,000; 0.963 with a pace of 0.97, and 25 refused with 1. With half of the
/// growth C, settled, has 0.932 in place of 0.936; with twice as much 24 are refused in place of 18.
const PACE: f64 = 0.99;
const GROWTH: f64 = 0.01;

/// A refusal lowers what was learned to this part of it at most. What was served in an outage is nothing, so it would be
/// far too low. In the bench of goodput, settled, C has 0.937 with 0.9, 0.926 with 0.8 and 0.921 with 0.95.
const LEAST_KEPT: f64 = 0.9;

/// Where a server keeps a log, the pace is this part of the most that it accepted: a refusal costs a second. In the bench of
/// goodput, logs, eight seeds, C has 0.915 with 1, 0.932 with this and 0.927 with 0.96.
const LOG_PACE: f64 = 0.98;

/// Each second without a refusal the pace grows by as much as in the one before and once more, up to so many times as
/// much. Tokens that come back raise the rate for as long as it takes until the first calls end: settled, C has 0.862
/// where it always grows as much, and 0.924 so.
const MOST_GROWTH: f64 = 20.0;

/// Where a server keeps a log, a refusal costs the rest of the second, and what it accepts is known exactly. So what was
/// learned grows only after a time like this without one. With 15 s C has 0.911 in place of 0.930; ten times as much changes
/// nothing.
const CALM: Duration = Duration::from_secs(60);

/// Before there are two refusals the pace is what was served before the first, in this time or in the wait it named. With twice
/// as much C has 0.891 in place of 0.970; half changes nothing.
const FIRST_GUESS: Duration = Duration::from_secs(1);

/// A measurement over less than this says nothing: the refusals belong together. From 50 ms to 1 s nothing changes where waits
/// are whole seconds. Where they are exact, H, charged as it was, has 21 refused in 1,000 with this and 74 with 1 s.
const SHORTEST: Duration = Duration::from_millis(200);

#[derive(Debug, Default)]
pub(super) struct Learner {
    /// When the server was last known to have nothing left.
    refused_at: Option<Instant>,
    /// The time between the last refusal and the one before, and the wait the last named. It is worked out when the gate
    /// opens: only then it is known which of those in flight were refused, too.
    pending: Option<Pending>,
    /// What had been served at the last refusal.
    served: Count,
    /// What was measured lately in units per second, by dimension.
    measured: [Recent; LEARNED.len()],
    /// What was accepted in the span before each of the last refusals, in units.
    accepted: [Recent; LEARNED.len()],
    /// The most that was accepted in any span between them.
    most_accepted: [Recent; LEARNED.len()],
    grown_at: Option<Instant>,
}

/// The last few numbers of a kind, the latest first.
#[derive(Debug, Default, Clone, Copy)]
struct Recent([f64; MEASUREMENTS]);

impl Recent {
    fn push(&mut self, one: f64) {
        self.0.rotate_right(1);
        self.0[0] = one;
    }

    fn most(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    since_last: Option<Duration>,
    /// Whether that is long enough to say something.
    measures: bool,
    /// When the request was sent that was refused, and when that was heard.
    sent_at: Instant,
    refused_at: Instant,
    closed_for: Duration,
    /// What had been refunded before.
    refunded: Count,
}

impl QuotaPolicy {
    /// A server of which no limit is known has refused a request, and the gate opens at `until`.
    pub(super) fn refused_without_limits(&mut self, sent_at: Instant, until: Instant, now: Instant) {
        self.learn(now);
        let since_last = self.learner.refused_at.map(|last| now.saturating_duration_since(last));
        let measures = since_last.is_none_or(|since| since >= SHORTEST);
        if measures {
            self.learner.refused_at = Some(now);
        }
        let closed_for = until.saturating_duration_since(now);
        let refunded = self.refunds.total();
        self.learner.pending =
            Some(Pending { since_last, measures, sent_at, refused_at: now, closed_for, refunded });
    }

    /// Works out what the last refusal means, now that the gate opens or the next has come.
    #[inline]
    pub(super) fn learn(&mut self, now: Instant) {
        if let Some(pending) = self.learner.pending.take() {
            self.learn_from(pending, now);
        }
    }

    #[cold]
    fn learn_from(&mut self, pending: Pending, now: Instant) {
        if pending.measures {
            self.measure(&pending, now);
        }
        // The server had nothing left then, and gains since.
        for meter in self.limits.meters_mut().iter_mut().filter(|meter| meter.is_learned()) {
            meter.level.bucket.empty_at(pending.refused_at);
            meter.level.bucket.refill(now);
        }
    }

    fn measure(&mut self, pending: &Pending, now: Instant) {
        let served = self.served();
        let grown = served - std::mem::replace(&mut self.learner.served, served);
        self.learner.grown_at = Some(now);
        let mut rates = LEARNED.map(|dimension| {
            // What is refunded that was sent before may come late.
            let units = grown.units(dimension).cast_signed().max(0) as f64;
            units / pending.since_last.unwrap_or(pending.closed_for.max(FIRST_GUESS)).as_secs_f64()
        });
        if pending.since_last.is_some() {
            for (recent, rate) in self.learner.measured.iter_mut().zip(rates) {
                recent.push(rate);
            }
        }
        self.weigh_accepted(pending);
        if pending.since_last.is_some() {
            rates = [0, 1].map(|place| self.pace(place));
        }
        // The one that was used most of what was thought of it is the cause. The other keeps what it had at least.
        let use_of = |place: usize| {
            let rate = self.learned(LEARNED[place]).map_or(0.0, Meter::rate);
            self.learner.measured[place].0[0] / rate.max(f64::MIN_POSITIVE)
        };
        let uses = [use_of(0), use_of(1)];
        for (place, dimension) in LEARNED.into_iter().enumerate() {
            let is_cause = pending.since_last.is_none() || uses[place] >= 0.97 * uses[1 - place];
            self.set_learned(dimension, rates[place], is_cause, now);
        }
        self.follow_server(now);
    }

    /// What the measurements make of a rate, in units per second.
    fn pace(&self, place: usize) -> f64 {
        if self.log_detector.is_log() {
            return LOG_PACE * self.learner.accepted[place].most() / SPAN.as_secs_f64();
        }
        let known = self.learned(LEARNED[place]).map_or(0.0, Meter::rate);
        (PACE * self.learner.measured[place].most()).max(LEAST_KEPT * known)
    }

    /// Whether what was accepted before the refusal is what a log accepts.
    fn weigh_accepted(&mut self, pending: &Pending) {
        let Some(sent) = pending.sent_at.checked_sub(SPAN).and_then(|from| self.sends.since(from)) else {
            return;
        };
        // What was refused since then was sent in that time, too.
        let accepted = sent - (self.refunds.total() - pending.refunded);
        let accepted = LEARNED.map(|dimension| accepted.units(dimension).cast_signed().max(0) as f64);
        let learner = &mut self.learner;
        for (recent, accepted) in learner.accepted.iter_mut().zip(accepted) {
            recent.push(accepted);
        }
        let Some(since_last) = pending.since_last else { return };
        // The last part of it is left out, which was refused perhaps.
        let (from, until) = (pending.refused_at - since_last, pending.sent_at - SPAN / 4);
        for (recent, dimension) in learner.most_accepted.iter_mut().zip(LEARNED) {
            recent.push(self.sends.most_within(from, until, SPAN, dimension) as f64);
        }
        let most =
            [0, 1].map(|place| learner.most_accepted[place].most().max(learner.accepted[place].most()));
        let come_in = learner.measured.map(|recent| recent.most() * SPAN.as_secs_f64());
        self.log_detector.weigh_accepted(accepted, most, come_in);
    }

    fn set_learned(&mut self, dimension: QuotaDimension, per_second: f64, is_cause: bool, now: Instant) {
        let limit = (per_second * WINDOW.as_secs_f64()).round().clamp(0.0, 1e15) as u64;
        let known = self.limits.meters().iter().position(|meter| meter.dimension == dimension);
        let meter = match known {
            Some(place) => &mut self.limits.meters_mut()[place],
            None if limit == 0 => return,
            None => {
                self.limits.meters_mut().push(Meter::learned(
                    dimension,
                    WINDOW,
                    limit,
                    self.burst,
                    self.charging,
                    now,
                ));
                self.limits.meters_mut().last_mut().expect("it was pushed")
            }
        };
        if is_cause || limit > meter.limit() {
            meter.set_learned(limit.max(1));
        }
    }

    fn learned(&self, dimension: QuotaDimension) -> Option<&Meter> {
        self.limits.meters().iter().find(|meter| meter.dimension == dimension)
    }

    /// The head of the line waits for a limit that was learned: more is tried.
    pub(super) fn probe(&mut self, blocked: &Blocked, now: Instant) {
        let (Bottleneck::Dimension(dimension), Some(grown_at)) = (blocked.reason, self.learner.grown_at)
        else {
            return;
        };
        let elapsed = now.saturating_duration_since(grown_at);
        if elapsed < Duration::from_millis(100) {
            return;
        }
        self.learner.grown_at = Some(now);
        let quiet = self.learner.refused_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let growth = if self.log_detector.is_log() {
            GROWTH * (quiet.as_secs_f64() / CALM.as_secs_f64()).powi(2).min(1.0)
        } else {
            GROWTH * quiet.as_secs_f64().clamp(1.0, MOST_GROWTH)
        };
        let factor = 1.0 + growth * elapsed.as_secs_f64().min(1.0);
        let mut meters = self.limits.meters_mut().iter_mut();
        if let Some(meter) = meters.find(|meter| meter.is_learned() && meter.dimension == dimension) {
            let limit = (meter.limit() as f64 * factor).ceil();
            meter.set_learned(limit as u64);
        }
    }

    /// Whether all that is known of limits was learned from refusals.
    pub(super) fn knows_no_limit(&self) -> bool {
        self.limits.meters().iter().all(Meter::is_learned)
    }

    /// Whether a rate was learned, and the server has served something since the last refusal: then the rate is right or
    /// nearly so, and there is no reason to stay away for longer and longer.
    pub(super) fn served_lately(&self) -> bool {
        let served = self.served() - self.learner.served;
        // The refused one is among them, and perhaps some that are on their way.
        self.limits.meters().iter().any(Meter::is_learned)
            && served.units(QuotaDimension::Requests).cast_signed() > 2
    }

    /// Whether there is anything that a rate could be learned from.
    pub(super) fn has_served(&self) -> bool {
        let served = self.served();
        served.units(QuotaDimension::Requests).cast_signed() > 2
    }

    /// The server tells its limits after all.
    pub(super) fn forget_learned(&mut self) {
        if self.learner.refused_at.is_some() && self.limits.meters().iter().any(Meter::is_learned) {
            self.limits.meters_mut().retain(|meter| !meter.is_learned());
            self.learner = Learner::default();
        }
    }
}

impl Meter {
    fn learned(
        dimension: QuotaDimension,
        window: Duration,
        limit: u64,
        burst: Burst,
        charging: Option<Charging>,
        now: Instant,
    ) -> Self {
        let mut meter = Self::heard(dimension, window, limit, burst, charging, now);
        meter.learned_limit = true;
        meter
    }
}
