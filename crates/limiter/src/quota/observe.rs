//! What the server says, and what becomes of it.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    builder::{MAX_LIMITS, WINDOWS},
    cost::Count,
    desk::QuotaDesk,
    dimension::Dimension,
    gate::after,
    meter::{Counted, Meter},
    signals::{MAX_READINGS, Reading, Refusal, Signals},
};

/// Replies can overtake each other by about this much.
const REORDERING: Duration = Duration::from_millis(100);

/// A server counts what is left within this time of a request's sending, or may as well not have said it.
const ARRIVAL: Duration = Duration::from_millis(250);

/// What was sent in this time before a ramp refusal is the rate that was too high: see [`Gate::ramp`](super::gate::Gate).
const RAMP_MEMORY: Duration = Duration::from_secs(10);

/// How many limits are kept, told and heard.
const MAX_METERS: usize = MAX_LIMITS + MAX_READINGS;

impl QuotaDesk {
    pub(super) fn observe(&mut self, signals: &Signals, now: Instant) {
        self.limits.refill(now);
        self.adopt(signals, now);
        let counted = self.counted(signals.sent_at, now);
        let reserved = self.reserved();
        for meter in &mut self.limits.meters {
            if let Some(reading) = said_of(meter, signals) {
                meter.read(reading, counted.as_ref(), &reserved, signals.refusal.is_some());
            }
        }
        let Some(refusal) = signals.refusal else {
            self.limits.meters.iter_mut().for_each(Meter::let_through);
            self.parallel.succeeded(self.in_flight);
            return;
        };
        self.refused(signals, refusal, now);
    }

    /// Limits that only the server has told.
    fn adopt(&mut self, signals: &Signals, now: Instant) {
        for (dimension, reading) in signals.readings.iter().flatten() {
            let Some(limit) = reading.limit.filter(|_| WINDOWS.contains(&reading.window)) else { continue };
            self.forget_learned();
            let key = (*dimension, reading.window);
            let known = self.limits.meters.iter().any(|meter| (meter.dimension, meter.named) == key);
            let clashes = self.limits.dimensions().any(|other| other.clashes_with(*dimension));
            if !known && !clashes && self.limits.meters.len() < MAX_METERS {
                self.limits.meters.push(Meter::heard(*dimension, reading.window, limit, self.burst, now));
            }
        }
    }

    /// What is known of the time in which the server counted what is left. `None`: it is too long ago.
    fn counted(&self, sent_at: Instant, now: Instant) -> Option<Counted> {
        let first = sent_at.checked_sub(REORDERING).unwrap_or(sent_at);
        let last = sent_at.checked_add(ARRIVAL).map_or(now, |last| last.min(now));
        Some(Counted {
            now,
            sent_at,
            sent_before: self.sends.before(sent_at)?,
            since_first: (now.saturating_duration_since(sent_at), self.sends.since(first)?),
            // What was sent just now has not arrived.
            since_last: (
                now.saturating_duration_since(last),
                if last == now { Count::default() } else { self.sends.since(last)? },
            ),
        })
    }

    fn refused(&mut self, signals: &Signals, refusal: Refusal, now: Instant) {
        if refusal.parallel {
            self.parallel.refused(self.in_flight);
            // When one of the others ends there is room again, whatever wait was named.
            if self.in_flight > 1 {
                return;
            }
        }
        let news = self.gate.is_news(signals.sent_at);
        // A hint of zero is none: the request was refused.
        let hint = refusal.wait.filter(|wait| !wait.is_zero()).or_else(|| reset_of_exhausted(signals));
        let until = match hint {
            Some(wait) => after(now, wait),
            None if news => {
                if self.served_lately() {
                    self.gate.forget_back_off();
                }
                self.gate.back_off(now)
            }
            None => return,
        };
        let learns = news && !refusal.ramp && self.knows_no_limit();
        if learns {
            self.refused_without_limits(until, now);
        }
        self.close_gate_until(now, until);
        if !news {
            return;
        }
        if refusal.ramp {
            let lately = now.checked_sub(RAMP_MEMORY).and_then(|from| self.sends.since(from));
            self.gate.ramp(lately.map_or(0, |sent| sent.units(Dimension::Requests)));
        }
        let explained = signals.readings.iter().flatten().any(|(_, reading)| reading.remaining == Some(0));
        for meter in self.limits.meters.iter_mut().filter(|meter| !meter.is_learned()) {
            let remaining = said_of(meter, signals).and_then(|reading| reading.remaining);
            meter.refused(until, remaining, explained);
        }
    }
}

/// What a reply said about a meter.
fn said_of<'a>(meter: &Meter, signals: &'a Signals) -> Option<&'a Reading> {
    let mut said = signals.readings.iter().flatten();
    said.find(|(dimension, reading)| (*dimension, reading.window) == (meter.dimension, meter.named))
        .map(|(_, reading)| reading)
}

/// The longest reset of what a refusal says is used up.
fn reset_of_exhausted(signals: &Signals) -> Option<Duration> {
    let exhausted = signals.readings.iter().flatten().filter(|(_, reading)| reading.remaining == Some(0));
    exhausted.filter_map(|(_, reading)| reading.reset).filter(|reset| !reset.is_zero()).max()
}
