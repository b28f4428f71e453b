//! How much others take who use the same key, judged by what is missing at the server.
//!
//! The figures are of the limiter's simulation, where others take 30 % of a bucket: 12 in 1,000 are refused. Without any of
//! this 120 are.

use std::time::Duration;

use tokio::time::Instant;

use super::cost::growth;

/// Two readings closer together than this say little: what is on its way blurs them. With a quarter of it 16 are refused, and
/// so with four times as much.
const STEP: Duration = Duration::from_secs(1);
/// So must two between which fewer units than this come in: one that is cut off, or on its way, would be a large part.
const FEW: f64 = 5.0;
/// The weight of the past fades with this time constant. With three times as much 17 are refused.
const MEMORY: Duration = Duration::from_secs(15);
/// Within this part of the rate, what is missing is noise. With 0.1 31 are refused; with none 6, for 1 % less of the rate.
const NOISE: f64 = 0.04;
/// Whatever seems to be missing, this part of the rate is taken to be left for us: it keeps the readings coming.
const MOST: f64 = 0.9;

/// A running mean of the unexplained drop: what the server should have left by its rate and by what we sent, less what it
/// said it has. An exponentially weighted mean over the time between readings, as a part of the rate.
#[derive(Debug, Default)]
pub(super) struct OtherClients {
    mean: f64,
    last: Option<Sample>,
}

/// What was left when a request was sent, and how much of ours had been let through before that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) remaining: u64,
    pub(super) let_through_before: u64,
    /// The server's bucket was as good as full, so what came in may have been lost.
    pub(super) full: bool,
    /// It refills all the time, and not only at the end of a window.
    pub(super) refills: bool,
}

impl OtherClients {
    /// Takes note of a reading, at a rate of so many per second.
    pub(super) fn note(&mut self, seen: Sample, per_second: f64) {
        let Some(last) = self.last else {
            self.last = Some(seen);
            return;
        };
        let elapsed = seen.at.saturating_duration_since(last.at);
        let come_in = per_second * elapsed.as_secs_f64();
        if elapsed < STEP || come_in < FEW {
            return;
        }
        self.last = Some(seen);
        if seen.full || last.full {
            return;
        }
        let ours = growth(last.let_through_before, seen.let_through_before) as f64;
        let refill = if seen.refills { come_in } else { 0.0 };
        let missing = last.remaining as f64 + refill - ours - seen.remaining as f64;
        let part = (missing / come_in).clamp(-1.0, 1.0);
        let weight = 1.0 - (-elapsed.as_secs_f64() / MEMORY.as_secs_f64()).exp();
        self.mean += weight * (part - self.mean);
    }

    /// The part of the rate that others take.
    pub(super) fn part(&self) -> f64 {
        (self.mean - NOISE).clamp(0.0, MOST)
    }
}
