//! The status of a run at one moment.

use std::time::Duration;

use outbound::{Snapshot, limiter::QuotaDimension};
use serde::Serialize;
use tokio::time::Instant;

use super::{why::Why, words};
use crate::watch::Counts;

/// With fewer outcomes in the last minute, or after less time, the time that is left is not estimated.
const ENOUGH_DONE: f64 = 3.0;
const ENOUGH_TIME: Duration = Duration::from_secs(5);

/// The status of a run. As JSON it is a line of `--progress json`; what is not known is `null`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Status {
    /// `progress`.
    pub(crate) event: &'static str,
    /// Seconds since the first request could be sent.
    pub(crate) elapsed_s: f64,
    /// Requests with an answer or a failure in the output.
    pub(crate) done: u64,
    /// Requests of this run in all.
    pub(crate) of: Option<u64>,
    /// Those of `done` that failed.
    pub(crate) failed: u64,
    pub(crate) in_flight: u64,
    /// Attempts that were not the first of their request.
    pub(crate) retries: u64,
    /// Attempts refused for the rate.
    pub(crate) refused: u64,
    /// Requests sent in a minute, measured over the last minute.
    pub(crate) requests_per_minute: Option<f64>,
    pub(crate) requests_per_minute_limit: Option<f64>,
    /// Tokens of answers in a minute, input and output together, measured over the last minute.
    pub(crate) tokens_per_minute: Option<f64>,
    pub(crate) tokens_per_minute_limit: Option<f64>,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
    /// Dollars spent so far, if prices are known.
    pub(crate) cost: Option<f64>,
    /// Dollars in the end, if the rest costs as much as what is done.
    pub(crate) cost_projected: Option<f64>,
    /// Seconds to the end, at the rate of the last minute.
    pub(crate) to_go_s: Option<f64>,
    /// Why the run waits, if it does.
    pub(crate) why: Option<Why>,
}

impl Status {
    /// `of`: the number of requests. `interrupted`: the user asked the run to end.
    pub(crate) fn of(counts: &Counts, snapshot: &Snapshot, of: Option<u64>, interrupted: bool) -> Self {
        let now = Instant::now();
        let elapsed = now.saturating_duration_since(counts.began);
        let rates = counts.pace.rates(now);
        let why = Why::of(counts, snapshot, interrupted, now);
        let done = counts.done();
        let wait = why.as_ref().and_then(|why| why.seconds).unwrap_or_default();
        let stands_still = why.as_ref().is_some_and(Why::has_no_end);
        let pace = rates.map_or(0.0, |rates| rates.done);
        let is_known = pace >= ENOUGH_DONE && elapsed >= ENOUGH_TIME && !stands_still;
        // If all requests wait, the end cannot come before that wait is over.
        let to_go = of.filter(|_| is_known).map(|of| of.saturating_sub(done) as f64 * 60.0 / pace);
        let to_go = to_go.map(|to_go| if counts.in_flight == 0 { to_go.max(wait) } else { to_go });
        let cost = Some(snapshot.spent.as_dollars()).filter(|spent| *spent > 0.0);
        let share = of.filter(|_| done > 0).map(|of| of as f64 / done as f64);
        Self {
            event: "progress",
            elapsed_s: rounded(elapsed.as_secs_f64()),
            done,
            of,
            failed: counts.failed,
            in_flight: counts.in_flight,
            retries: counts.retries,
            refused: counts.refused,
            requests_per_minute: rates.map(|rates| rounded(rates.sent)),
            requests_per_minute_limit: counts.limits.per_minute(QuotaDimension::Requests).map(rounded),
            tokens_per_minute: rates.map(|rates| rounded(rates.tokens)),
            tokens_per_minute_limit: counts.limits.tokens_per_minute().map(rounded),
            input_tokens: counts.input_tokens,
            output_tokens: counts.output_tokens,
            cost,
            cost_projected: cost.zip(share).map(|(cost, share)| cost * share),
            to_go_s: to_go.map(rounded),
            why,
        }
    }

    /// The status as one line of text.
    pub(crate) fn line(&self) -> String {
        words::line(self)
    }
}

/// Rounds to a tenth: more digits would have no meaning.
fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}
