//! Metrics: an observer that counts, for Prometheus.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{
    error::ErrorKind,
    money::Money,
    observe::{Event, Observer, Step},
};

mod page;

/// How many combinations of endpoint, provider and model have series of their own.
const COMBINATIONS: usize = 256;

/// The endpoint and the model of all further combinations.
const OTHER: &str = "other";

/// The bounds of the buckets of durations, in seconds.
const BOUNDS: [f64; 16] =
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0];

/// Counts what happens to requests, and writes the counts as a page in the text format of Prometheus, version 0.0.4
/// (Prometheus' documentation, "Exposition formats").
///
/// It is an [`Observer`] and cheap to clone. All clones count together, and several managers may share one. The counts
/// stay in memory until the last clone is dropped.
///
/// ```
/// use outbound::{Metrics, Provider, RequestManager};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let metrics = Metrics::default();
/// let manager = RequestManager::builder().provider(Provider::groq()).observer(metrics.clone()).build()?;
///
/// // In the handler of `GET /metrics`:
/// let (content_type, page) = (Metrics::CONTENT_TYPE, metrics.to_string());
/// # assert!(content_type.contains("0.0.4") && page.contains("outbound_requests_in_progress 0\n"));
/// # Ok(())
/// # }
/// ```
///
/// | name | type | labels besides `endpoint`, `provider`, `model` |
/// |---|---|---|
/// | `outbound_requests_total` | counter | `outcome` |
/// | `outbound_request_duration_seconds` | histogram | |
/// | `outbound_requests_in_progress` | gauge | it has none at all |
/// | `outbound_attempts_total` | counter | `outcome` |
/// | `outbound_attempt_duration_seconds` | histogram | |
/// | `outbound_attempts_in_flight` | gauge | |
/// | `outbound_first_item_seconds` | histogram | |
/// | `outbound_waits_total` | counter | `reason` |
/// | `outbound_wait_seconds_total` | counter | `reason` |
/// | `outbound_requests_waiting` | gauge | `reason` |
/// | `outbound_reroutes_total` | counter | |
/// | `outbound_requests_reused_total` | counter | `from`: `in_flight`, `cache` |
/// | `outbound_tokens_total` | counter | `type`: `input`, `output` |
/// | `outbound_cached_tokens_total` | counter | |
/// | `outbound_cost_dollars_total` | counter | |
///
/// A request counts once, however many attempts it takes. So do not add requests and attempts. An `outcome` is
/// `answered`, or the [name of the failure](ErrorKind::as_str). A `reason` is [that of a wait](super::Waiting::as_str).
/// A request that got the answer of another one counts among the requests and among the reused ones. The label is empty
/// for the manager's own endpoint and for an unknown model. Cached tokens are a part of the input. Tokens and costs are
/// those of answers, as far as the provider reports tokens and the manager has prices.
///
/// # How many series there are
///
/// The first 256 combinations of endpoint, provider and model have series of their own. Further ones are counted by
/// their provider, with `other` as endpoint and model.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Mutex<Counts>>);

#[derive(Clone, Default)]
struct Counts {
    in_progress: u64,
    /// Sorted by their labels.
    series: Vec<Series>,
}

/// All counts with the same labels.
#[derive(Clone, Default)]
struct Series {
    labels: Labels<String>,
    requests: BTreeMap<&'static str, u64>,
    request_time: Histogram,
    attempts: BTreeMap<&'static str, u64>,
    attempt_time: Histogram,
    in_flight: u64,
    first_item: Histogram,
    waits: BTreeMap<&'static str, Waits>,
    reroutes: u64,
    reused: BTreeMap<&'static str, u64>,
    input: u64,
    output: u64,
    cached: u64,
    cost: Money,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Labels<S> {
    endpoint: S,
    provider: S,
    model: S,
}

#[derive(Clone, Copy, Default)]
struct Waits {
    now: u64,
    ended: u64,
    took: Duration,
}

#[derive(Clone, Copy, Default)]
struct Histogram {
    /// How many durations are at most each bound, and above the bound before it.
    buckets: [u64; BOUNDS.len()],
    count: u64,
    sum: Duration,
}

impl Metrics {
    /// The content type of the page.
    pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
}

impl Observer for Metrics {
    fn event(&self, event: &Event<'_>) {
        let mut counts = self.0.lock();
        match event.step {
            Step::Queued => counts.in_progress += 1,
            Step::Ended { .. } => counts.in_progress = counts.in_progress.saturating_sub(1),
            _ => {}
        }
        let labels = Labels {
            endpoint: event.endpoint.unwrap_or_default(),
            provider: event.provider,
            model: event.model.unwrap_or_default(),
        };
        counts.of(labels).count(&event.step);
    }
}

impl Counts {
    fn of(&mut self, labels: Labels<&str>) -> &mut Series {
        let find = |series: &[Series], labels| {
            series.binary_search_by(|series| series.labels.borrowed().cmp(&labels))
        };
        let (mut labels, mut index) = (labels, find(&self.series, labels));
        if index.is_err() && self.series.len() >= COMBINATIONS {
            labels = Labels { endpoint: OTHER, model: OTHER, ..labels };
            index = find(&self.series, labels);
        }
        let index = index.unwrap_or_else(|index| {
            self.series.insert(index, Series { labels: labels.owned(), ..Series::default() });
            index
        });
        &mut self.series[index]
    }
}

impl Series {
    fn count(&mut self, step: &Step<'_>) {
        match *step {
            Step::Rerouted { .. } => self.reroutes += 1,
            Step::Waiting { reason, .. } => self.waits.entry(reason.as_str()).or_default().now += 1,
            Step::Waited { reason, took } => {
                let waits = self.waits.entry(reason.as_str()).or_default();
                waits.now = waits.now.saturating_sub(1);
                waits.ended += 1;
                waits.took = waits.took.saturating_add(took);
            }
            Step::Sent { .. } => self.in_flight += 1,
            Step::Item { after } => self.first_item.add(after),
            Step::AttemptEnded { took, failure, .. } => {
                self.in_flight = self.in_flight.saturating_sub(1);
                *self.attempts.entry(outcome(failure)).or_default() += 1;
                self.attempt_time.add(took);
            }
            Step::Ended { failure, usage, cost, reused, elapsed, .. } => {
                *self.requests.entry(outcome(failure)).or_default() += 1;
                self.request_time.add(elapsed);
                if let Some(reused) = reused {
                    *self.reused.entry(reused.as_str()).or_default() += 1;
                }
                let usage = usage.unwrap_or_default();
                self.input = self.input.saturating_add(usage.input);
                self.output = self.output.saturating_add(usage.output);
                self.cached = self.cached.saturating_add(usage.cached);
                self.cost += cost.unwrap_or_default();
            }
            Step::Queued | Step::Admitted => {}
        }
    }
}

fn outcome(failure: Option<ErrorKind>) -> &'static str {
    failure.map_or("answered", ErrorKind::as_str)
}

impl Labels<String> {
    fn borrowed(&self) -> Labels<&str> {
        Labels { endpoint: &self.endpoint, provider: &self.provider, model: &self.model }
    }
}

impl Labels<&str> {
    fn owned(self) -> Labels<String> {
        let Self { endpoint, provider, model } = self;
        Labels { endpoint: endpoint.to_owned(), provider: provider.to_owned(), model: model.to_owned() }
    }
}

impl Histogram {
    fn add(&mut self, time: Duration) {
        let bucket = BOUNDS.iter().position(|bound| time.as_secs_f64() <= *bound);
        if let Some(bucket) = bucket {
            self.buckets[bucket] += 1;
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(time);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.0.lock();
        let (in_progress, combinations) = (counts.in_progress, counts.series.len());
        f.debug_struct("Metrics")
            .field("in_progress", &in_progress)
            .field("combinations", &combinations)
            .finish()
    }
}

#[cfg(test)]
mod tests;
