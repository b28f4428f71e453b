//! How much other clients with the same key take, judged by what is missing at the server.
//!
//! The constants are tuned by `cargo bench -p outbound-benches --bench limiter -- simulation`, where other clients take a part
//! of a bucket. Without this part of the limiter many more requests are refused there.

use std::time::Duration;

use tokio::time::Instant;

use super::cost::growth;

/// Two readings closer together than this say little, because requests in flight blur them.
const STEP: Duration = Duration::from_secs(1);
/// Two readings also say little if fewer units than this come in between them, because one request in flight would be a large
/// part.
const FEW: f64 = 5.0;
/// The weight of the past decreases with this time constant.
const MEMORY: Duration = Duration::from_secs(15);
/// If less than this share of the rate is missing, it is noise. A larger value causes more refusals, and a smaller one wastes
/// rate.
const NOISE: f64 = 0.04;
/// Other clients are assumed to take at most this share of the rate. So requests are still sent, and bring new readings.
const MOST: f64 = 0.9;

/// A running mean of the unexplained loss: what should remain at the server by its rate and by what was sent from here, minus
/// what the server said remains. It is an exponentially weighted mean over time, as a share of the rate.
#[derive(Debug, Default)]
pub(super) struct OtherClients {
    mean: f64,
    last: Option<Sample>,
}

/// A sample: what remained when a request was sent, and how much of our own was served before that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) remaining: u64,
    pub(super) let_through_before: u64,
    /// The server's bucket was nearly full, so what came in may have been lost.
    pub(super) full: bool,
    /// The server refills all the time, and not only at the end of a window.
    pub(super) refills: bool,
}

impl OtherClients {
    /// Records a sample.
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

    /// The share of the rate that other clients take.
    pub(super) fn part(&self) -> f64 {
        (self.mean - NOISE).clamp(0.0, MOST)
    }
}
