//! How an observation changes a quota: its levels, its gate and what it has learned.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    builder::{MAX_LIMITS, MINUTE, WINDOWS},
    dimension::QuotaDimension,
    gate::after,
    meter::{Counted, Meter},
    observation::{MAX_READINGS, Observation, Refusal, Scope},
    parallel::{Cause, Evidence},
    policy::QuotaPolicy,
};

/// What was sent in this time before a ramp refusal is taken for the rate that was too high: see
/// [`Gate::ramp`](super::gate::Gate).
const RAMP_MEMORY: Duration = Duration::from_secs(10);

/// A wait of this length or more is worth one request to find out whether the number in flight is the cause. Servers that
/// count by the second ask for shorter waits.
const LONG_WAIT: Duration = Duration::from_secs(2);

/// How many limits are kept, of the user and of the server.
const MAX_METERS: usize = MAX_LIMITS + MAX_READINGS;

impl QuotaPolicy {
    pub(super) fn observe(&mut self, observation: &Observation, now: Instant) {
        self.limits.refill(now);
        if observation.scope != Scope::Gate {
            self.read(observation, now);
        }
        match observation.refusal {
            Some(refusal) => self.refused(observation, refusal, now),
            None if observation.scope != Scope::Limits => self.succeeded(observation),
            None => {}
        }
    }

    fn read(&mut self, observation: &Observation, now: Instant) {
        if !self.is_known(observation, now) {
            self.read_anew(observation, now);
        }
    }

    /// Whether a reply that was served says nothing beyond the readings just before it.
    fn is_known(&self, observation: &Observation, now: Instant) -> bool {
        let sent = self.sends.total();
        observation.refusal.is_none()
            && observation.readings.iter().flatten().all(|(dimension, reading)| {
                let meter = self.limits.meters().iter().find(|meter| meter.is_about(*dimension, reading));
                meter.is_some_and(|meter| meter.has_read(reading, sent, now))
            })
    }

    fn read_anew(&mut self, observation: &Observation, now: Instant) {
        self.adopt(observation, now);
        let is_news = self.gate.is_news(observation.sent_at);
        let counted = Counted::of(&self.sends, &self.refunds, observation.sent_at, now);
        let reserved = self.reserved();
        for meter in self.limits.meters_mut() {
            if let Some(reading) = meter.reading_in(observation) {
                meter.read(
                    reading,
                    observation.sent_at,
                    counted.as_ref(),
                    &reserved,
                    observation.refusal.is_some(),
                );
            }
        }
        if let Some(counted) = &counted {
            self.log_detector.weigh_readings(self.limits.meters(), observation, is_news, counted);
        }
        self.follow_server(now);
    }

    fn succeeded(&mut self, observation: &Observation) {
        self.gate.served(observation.sent_at);
        self.parallel.succeeded(self.in_flight);
        match self.parallel.evidence(self.gate.is_news(observation.sent_at)) {
            Evidence::Nothing => {}
            Evidence::Room => self.gate.exempt_one(),
            Evidence::Parallel => self.gate.open(),
        }
    }

    /// Forgets the limits of the server. The user's limits stay as they were set.
    pub(super) fn forget_readings(&mut self, now: Instant) {
        self.limits.refill(now);
        self.limits.meters_mut().retain_mut(Meter::forget_readings);
    }

    /// Changes the user's limit per minute of a dimension.
    pub(super) fn set_limit(&mut self, dimension: QuotaDimension, limit: Option<u64>, now: Instant) {
        self.limits.refill(now);
        let limit = limit.map(|limit| limit.max(1));
        let meters = self.limits.meters_mut();
        let is_it =
            |meter: &Meter| meter.dimension == dimension && meter.named == MINUTE && !meter.is_learned();
        let known = meters.iter().any(is_it);
        meters.retain_mut(|meter| !is_it(meter) || meter.set_user_limit(limit));
        if let Some(limit) = limit.filter(|_| !known && meters.len() < MAX_METERS) {
            self.limits.push(Meter::from_user(dimension, MINUTE, limit, self.burst, self.charging, now));
        }
    }

    /// Adds limits that only the server has named.
    fn adopt(&mut self, observation: &Observation, now: Instant) {
        for (dimension, reading) in observation.readings.iter().flatten() {
            let Some(limit) = reading.limit.filter(|_| WINDOWS.contains(&reading.window)) else { continue };
            self.forget_learned();
            let known = self.limits.meters().iter().any(|meter| meter.is_about(*dimension, reading));
            let clashes = self.limits.dimensions().any(|other| other.clashes_with(*dimension));
            if !known && !clashes && self.limits.meters().len() < MAX_METERS {
                self.limits.push(Meter::from_server(
                    *dimension,
                    reading.window,
                    limit,
                    self.burst,
                    self.charging,
                    now,
                ));
            }
        }
    }

    fn refused(&mut self, observation: &Observation, refusal: Refusal, now: Instant) {
        let owns_gate = observation.scope != Scope::Limits;
        if refusal.parallel {
            if !owns_gate {
                return;
            }
            self.parallel.refused(self.in_flight);
            // When another request ends there is room again, whatever wait was named.
            if self.in_flight > 1 {
                return;
            }
        }
        let news = self.gate.is_news(observation.sent_at);
        // A hint of zero counts as none, because the request was refused.
        let hint = refusal.wait.filter(|wait| !wait.is_zero()).or_else(|| reset_of_exhausted(observation));
        let until = match hint {
            Some(wait) => after(now, wait),
            None if !owns_gate => return,
            None if news => {
                if self.served_lately() {
                    self.gate.forget_back_off();
                }
                self.gate.back_off(now)
            }
            None => return,
        };
        let is_long = until.saturating_duration_since(now) >= LONG_WAIT;
        if is_long
            && observation.scope == Scope::All
            && self.in_flight > 1
            && !refusal.ramp
            && self.limits.is_unlimited()
        {
            match self.parallel.unexplained(self.in_flight, news) {
                Cause::Parallel => return,
                Cause::Suspected => return self.close_gate_until(now, until),
                Cause::Rate => {}
            }
        }
        let learns = news && observation.scope == Scope::All && !refusal.ramp && self.knows_no_limit();
        if learns {
            self.refused_without_limits(observation.sent_at, until, now);
        }
        if owns_gate {
            let serves_nothing = news && self.gate.refused_again();
            self.close_gate(now, until, serves_nothing);
        } else if news {
            self.gate.note_refusal(now);
        }
        if !news {
            return;
        }
        if refusal.ramp && owns_gate {
            let lately = now.checked_sub(RAMP_MEMORY).and_then(|from| self.sends.since(from));
            self.gate.ramp(lately.map_or(0, |sent| sent.units(QuotaDimension::Requests)));
        }
        if observation.scope == Scope::Gate {
            return;
        }
        let explained =
            observation.readings.iter().flatten().any(|(_, reading)| reading.remaining == Some(0));
        for meter in self.limits.meters_mut().iter_mut().filter(|meter| !meter.is_learned()) {
            let remaining = meter.reading_in(observation).and_then(|reading| reading.remaining);
            meter.refused(until, remaining, explained);
        }
    }
}

/// The longest reset of the dimensions that a refusal says are used up.
fn reset_of_exhausted(observation: &Observation) -> Option<Duration> {
    let exhausted = observation.readings.iter().flatten().filter(|(_, reading)| reading.remaining == Some(0));
    exhausted.filter_map(|(_, reading)| reading.reset).filter(|reset| !reset.is_zero()).max()
}
