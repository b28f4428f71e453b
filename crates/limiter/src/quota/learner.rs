//! Learns the rate of a server that names no limit, from its refusals.
//!
//! At each refusal the server has nothing left. So what it has served between two refusals is what came in during that time.
//! This is never more than its rate. It is less only where the server was full in between.
//!
//! The constants are tuned by `cargo bench -p outbound-benches --bench limiter -- goodput`. Where a comment names no other
//! effect, larger and smaller values were worse or made no difference there.

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

/// The dimensions that are counted while no limit is known.
const LEARNED: [QuotaDimension; 2] = [QuotaDimension::Requests, QuotaDimension::Tokens];

/// Learned limits are per minute, as most limits are.
const WINDOW: Duration = Duration::from_secs(60);

/// The largest of this many latest measurements counts.
const MEASUREMENTS: usize = 4;

/// The pace is this share of the measured rate. While requests wait for it, it grows by [`GROWTH`] each second. A higher pace
/// or a faster growth causes more refusals.
const PACE: f64 = 0.99;
const GROWTH: f64 = 0.01;

/// A refusal lowers a learned rate to this share of it at most. In an outage nothing is served, so the measured rate would be
/// far too low.
const LEAST_KEPT: f64 = 0.9;

/// Where a server keeps a log, the pace is this share of the most that it has accepted, because a refusal costs a second.
const LOG_PACE: f64 = 0.98;

/// With each second without a refusal the growth itself increases by [`GROWTH`], up to this many times [`GROWTH`]. Tokens that
/// come back raise the real rate once the first calls end, and a constant growth would follow too slowly.
const MOST_GROWTH: f64 = 20.0;

/// Where a server keeps a log, a refusal costs the rest of the second, and what the server accepts is known exactly. So a
/// learned rate grows only after about this long without a refusal.
const CALM: Duration = Duration::from_secs(60);

/// After the first refusal, the pace is what was served before it, divided by this time or by the wait that it named.
const FIRST_GUESS: Duration = Duration::from_secs(1);

/// Two refusals closer together than this belong together, and measure nothing.
const SHORTEST: Duration = Duration::from_millis(200);

/// What was learned from refusals.
#[derive(Debug, Default)]
pub(super) struct Learner {
    /// When the server was last known to have nothing left.
    refused_at: Option<Instant>,
    /// The last refusal. It is evaluated when the gate opens, because only then is it known which of the requests in flight
    /// were refused too.
    pending: Option<Pending>,
    /// What had been served at the last refusal.
    served: Count,
    /// The latest measurements in units per second, by dimension.
    measured: [Recent; LEARNED.len()],
    /// What was accepted in the span before each of the latest refusals, in units.
    accepted: [Recent; LEARNED.len()],
    /// The most that was accepted in any span between two refusals.
    most_accepted: [Recent; LEARNED.len()],
    grown_at: Option<Instant>,
}

/// The latest few numbers, the newest first.
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

/// A refusal that has not been evaluated yet.
#[derive(Debug, Clone, Copy)]
struct Pending {
    /// The time since the refusal before.
    since_last: Option<Duration>,
    /// Whether that is long enough for a measurement.
    measures: bool,
    /// When the refused request was sent, and when the refusal came.
    sent_at: Instant,
    refused_at: Instant,
    closed_for: Duration,
    /// What had been refunded before it.
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

    /// Evaluates the last refusal, because the gate opens or the next refusal has come.
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
        // The server had nothing left at that instant, and has gained units since.
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
            // The refund of a request that was sent before may come late, so the difference can be negative.
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
        // The dimension that was used most, compared with its learned rate, is the cause of the refusal. The other is not
        // lowered.
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

    /// The pace that follows from the measurements, in units per second.
    fn pace(&self, place: usize) -> f64 {
        if self.log_detector.is_log() {
            return LOG_PACE * self.learner.accepted[place].most() / SPAN.as_secs_f64();
        }
        let known = self.learned(LEARNED[place]).map_or(0.0, Meter::rate);
        (PACE * self.learner.measured[place].most()).max(LEAST_KEPT * known)
    }

    /// Records what was accepted before the refusal, and judges whether it is what a log accepts.
    fn weigh_accepted(&mut self, pending: &Pending) {
        let Some(sent) = pending.sent_at.checked_sub(SPAN).and_then(|from| self.sends.since(from)) else {
            return;
        };
        // Requests that were refused since then are among those sent, so they are subtracted.
        let accepted = sent - (self.refunds.total() - pending.refunded);
        let accepted = LEARNED.map(|dimension| accepted.units(dimension).cast_signed().max(0) as f64);
        let learner = &mut self.learner;
        for (recent, accepted) in learner.accepted.iter_mut().zip(accepted) {
            recent.push(accepted);
        }
        let Some(since_last) = pending.since_last else { return };
        // The last part is left out, because it may have been refused.
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

    /// If the first waiter waits for a learned limit, the limit is raised a little.
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

    /// Whether all known limits were learned from refusals.
    pub(super) fn knows_no_limit(&self) -> bool {
        self.limits.meters().iter().all(Meter::is_learned)
    }

    /// Whether a rate was learned and the server has served something since the last refusal. Then the rate is nearly right,
    /// and the waits do not have to grow.
    pub(super) fn served_lately(&self) -> bool {
        let served = self.served() - self.learner.served;
        // The count includes the refused request, and perhaps some that are in flight.
        self.limits.meters().iter().any(Meter::is_learned)
            && served.units(QuotaDimension::Requests).cast_signed() > 2
    }

    /// Whether enough was served to learn a rate from it.
    pub(super) fn has_served(&self) -> bool {
        let served = self.served();
        served.units(QuotaDimension::Requests).cast_signed() > 2
    }

    /// The server has named its limits after all, so learned limits are dropped.
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
        let mut meter = Self::from_server(dimension, window, limit, burst, charging, now);
        meter.learned_limit = true;
        meter
    }
}
