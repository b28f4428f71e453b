//! The data of the summary: `--summary` writes it as JSON, and the text and the report are made of it.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use tokio::time::Instant;

use super::{Failures, Ids, Slow, Summary, Whole, in_seconds};
use crate::{
    simulate::Simulated,
    watch::{Counts, WAITS},
};

/// The summary of a run. As JSON: times in seconds, money in dollars, and `null` for what is not known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Facts {
    /// `summary`.
    pub(crate) event: &'static str,
    pub(crate) wall_s: f64,
    /// Requests of this run.
    pub(crate) asked: Option<u64>,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    /// Requests that had an answer or a failure before this run.
    pub(crate) skipped: u64,
    /// Requests never sent, or sent only in attempts that were refused or failed.
    pub(crate) not_sent: u64,
    /// Requests that were sent and whose end is not known.
    pub(crate) perhaps_billed: Ids,
    /// Requests with an answer that is not in the output.
    pub(crate) unwritten: Ids,
    pub(crate) interrupted: bool,
    /// Why nothing more was sent.
    pub(crate) stopped: Option<String>,
    /// What went wrong with the input or the output.
    pub(crate) trouble: Option<String>,
    pub(crate) attempts: u64,
    pub(crate) retries: u64,
    /// Attempts that a rate limit refused.
    pub(crate) refused: u64,
    /// Failed attempts by class.
    pub(crate) failed_attempts: BTreeMap<&'static str, u64>,
    pub(crate) possible_duplicates: u64,
    /// Answers from the cache or from an equal request.
    pub(crate) reused: u64,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
    pub(crate) cost: Option<f64>,
    /// The latency of attempts with an answer.
    pub(crate) latency: Option<Latency>,
    pub(crate) slowest: Vec<Slow>,
    pub(crate) waits: Vec<WaitedFor>,
    /// Seconds in which each limit held the next request back, measured four times a second.
    pub(crate) short_of: BTreeMap<String, f64>,
    pub(crate) efficiency: Option<Efficiency>,
    /// Failed requests by class.
    pub(crate) failures: BTreeMap<&'static str, Failures>,
    pub(crate) output: String,
    pub(crate) go_on: Option<String>,
    /// Only with several machines: how the whole batch stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) batch: Option<Whole>,
    /// Only for a demonstration: what the provider did, and the result of the usual loop.
    pub(crate) simulated: Option<Simulated>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50_s: f64,
    pub(crate) p90_s: f64,
    pub(crate) p99_s: f64,
    pub(crate) longest_s: f64,
}

/// The waits for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct WaitedFor {
    /// The [name of a wait](outbound::Waiting::as_str).
    pub(crate) reason: &'static str,
    /// Seconds, summed over all requests.
    pub(crate) sum_s: f64,
    /// The share of the wall time in which at least one request waited for it.
    pub(crate) share: f64,
}

/// The best possible time by the known limits, as a share of the wall time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Efficiency {
    pub(crate) e: f64,
    pub(crate) best_s: f64,
    /// What decides the best time: a limit on use, or the concurrency limit.
    pub(crate) bound_by: String,
}

impl Facts {
    pub(super) fn of(summary: &Summary, counts: &Counts, now: Instant) -> Self {
        let wall = summary.wall;
        let left = counts.left();
        let (succeeded, failed) = (summary.succeeded, summary.failed);
        let with_an_end = succeeded + failed + left.perhaps_billed.count + left.unwritten.count;
        // If the number of requests is not known, only those that were read are counted.
        let not_sent = summary.asked.map_or(left.not_sent, |asked| asked.saturating_sub(with_an_end));
        let was_shared = summary.batch.as_ref().is_some_and(|batch| batch.was_shared);
        let spent = summary.spent.as_dollars();
        Self {
            event: "summary",
            wall_s: in_seconds(wall),
            asked: summary.asked,
            succeeded,
            failed,
            skipped: summary.skipped,
            not_sent,
            perhaps_billed: left.perhaps_billed,
            unwritten: left.unwritten,
            interrupted: summary.interrupted,
            stopped: summary.stopped.as_ref().map(|stopped| stopped.message.clone()),
            trouble: summary.trouble.clone(),
            attempts: counts.attempts,
            retries: counts.retries,
            refused: counts.refused,
            failed_attempts: counts.failed_attempts.clone(),
            possible_duplicates: summary.possible_duplicates,
            reused: summary.reused,
            input_tokens: counts.input_tokens,
            output_tokens: counts.output_tokens,
            cost: Some(spent).filter(|spent| *spent > 0.0),
            latency: latency(counts),
            slowest: summary.slowest.clone(),
            waits: waits(counts, wall, now),
            short_of: counts
                .limits
                .short
                .iter()
                .map(|(what, time)| (what.clone(), in_seconds(*time)))
                .collect(),
            efficiency: efficiency(counts, wall).filter(|_| !was_shared),
            failures: summary.failures.clone(),
            output: summary.output.clone(),
            go_on: summary.go_on.clone(),
            batch: summary.batch.clone(),
            simulated: summary.simulated,
        }
    }
}

fn latency(counts: &Counts) -> Option<Latency> {
    let quantile = |share| counts.latency.quantile(share).map(in_seconds);
    Some(Latency {
        p50_s: quantile(0.5)?,
        p90_s: quantile(0.9)?,
        p99_s: quantile(0.99)?,
        longest_s: in_seconds(counts.latency.longest()?),
    })
}

fn waits(counts: &Counts, wall: Duration, now: Instant) -> Vec<WaitedFor> {
    let waits = WAITS.iter().map(|reason| (reason, counts.waits.of(*reason)));
    let waited = waits.filter(|(_, wait)| !wait.any(now).is_zero()).map(|(reason, wait)| WaitedFor {
        reason: reason.as_str(),
        sum_s: in_seconds(wait.sum),
        share: share(wait.any(now), wall),
    });
    waited.collect()
}

fn efficiency(counts: &Counts, wall: Duration) -> Option<Efficiency> {
    let (by_limit, limit) = counts.limits.least_time(&counts.used)?;
    let places =
        counts.limits.places.and_then(|places| u32::try_from(places).ok()).filter(|places| *places > 0);
    let by_places = places.map(|places| (counts.serving / places, format!("{places} in flight")));
    let (best, bound_by) =
        [Some((by_limit, limit)), by_places].into_iter().flatten().max_by_key(|(best, _)| *best)?;
    Some(Efficiency { e: share(best, wall), best_s: in_seconds(best.min(wall)), bound_by })
}

/// The share of a time in another one: at most 1, rounded to a thousandth.
fn share(part: Duration, whole: Duration) -> f64 {
    if whole.is_zero() {
        return 0.0;
    }
    ((part.as_secs_f64() / whole.as_secs_f64()).min(1.0) * 1e3).round() / 1e3
}
