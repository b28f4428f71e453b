//! The limits of a run as the manager knows them, and what the next request waits for.

use std::{collections::BTreeMap, time::Duration};

use outbound::{
    EndpointSnapshot, ModelSnapshot, Snapshot, Usage,
    limiter::{Bottleneck, QuotaDimension, Snapshot as QuotaSnapshot},
};
use tokio::time::Instant;

use crate::progress::{amount, time};

const MINUTE: f64 = 60.0;

/// At most this many limits have a waiting time of their own.
const SHORT: usize = 24;

/// The name for all others.
const OTHERS: &str = "other limits";

/// The limits that the snapshots of the manager had.
#[derive(Debug)]
pub(crate) struct Limits {
    looked: Instant,
    known: Vec<Limit>,
    /// The number of models.
    models: usize,
    /// The concurrency limit, summed over all endpoints.
    pub(crate) places: Option<usize>,
    /// How long the next request waited for each limit, measured from snapshot to snapshot.
    pub(crate) short: BTreeMap<String, Duration>,
}

/// One limit, of a model or of all.
#[derive(Debug, Clone, PartialEq)]
struct Limit {
    model: Option<String>,
    dimension: QuotaDimension,
    window: Duration,
    amount: f64,
    /// The most that was available at once.
    at_once: f64,
}

/// What the requests used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    requests: f64,
    input: f64,
    output: f64,
}

impl Used {
    pub(super) fn add(&mut self, usage: Usage) {
        self.requests += 1.0;
        self.input += usage.input as f64;
        self.output += usage.output as f64;
    }

    fn of(&self, dimension: QuotaDimension) -> f64 {
        match dimension {
            QuotaDimension::Requests => self.requests,
            QuotaDimension::Tokens => self.input + self.output,
            QuotaDimension::InputTokens => self.input,
            QuotaDimension::OutputTokens => self.output,
            _ => 0.0,
        }
    }

    fn and(self, other: &Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            input: self.input + other.input,
            output: self.output + other.output,
        }
    }
}

impl Limits {
    pub(super) fn new(now: Instant) -> Self {
        Self { looked: now, known: Vec::new(), models: 0, places: None, short: BTreeMap::new() }
    }

    pub(super) fn look(&mut self, snapshot: &Snapshot, now: Instant) {
        let since = now.saturating_duration_since(std::mem::replace(&mut self.looked, now));
        for what in short(snapshot) {
            let full = self.short.len() >= SHORT && !self.short.contains_key(&what);
            *self.short.entry(if full { OTHERS.to_owned() } else { what }).or_default() += since;
        }
        let places = snapshot.endpoints.iter().map(|endpoint| endpoint.quota.max_concurrent);
        self.places = places.sum::<Option<usize>>().filter(|places| *places > 0);
        self.models =
            snapshot.endpoints.iter().map(|endpoint| endpoint.models.len()).max().unwrap_or_default();
        let mut seen = Vec::new();
        for endpoint in &snapshot.endpoints {
            note(&mut seen, None, &endpoint.quota);
            for model in &endpoint.models {
                note(&mut seen, Some(model.name.as_deref().unwrap_or_default()), &model.quota);
            }
        }
        for limit in &mut seen {
            if let Some(known) = self.known.iter().find(|known| known.is_same(limit)) {
                limit.at_once = limit.at_once.max(known.at_once);
            }
        }
        if !seen.is_empty() {
            self.known = seen;
        }
    }

    /// How much of a dimension all limits together allow in a minute. `None` if a model has no such limit.
    pub(crate) fn per_minute(&self, dimension: QuotaDimension) -> Option<f64> {
        let lowest = |of_all: bool| {
            let mut by_model = BTreeMap::<_, f64>::new();
            let limits = self.known.iter().filter(|limit| limit.model.is_none() == of_all);
            for limit in limits.filter(|limit| limit.dimension == dimension) {
                let rate = limit.rate() * MINUTE;
                let lowest = by_model.entry(limit.model.as_deref()).or_insert(rate);
                *lowest = lowest.min(rate);
            }
            let all_are_limited = of_all || by_model.len() >= self.models;
            (all_are_limited && !by_model.is_empty()).then(|| by_model.values().sum::<f64>())
        };
        [lowest(true), lowest(false)].into_iter().flatten().reduce(f64::min)
    }

    /// Tokens in a minute: by a limit on input and output together, or by the two limits on each.
    pub(crate) fn tokens_per_minute(&self) -> Option<f64> {
        let each = self
            .per_minute(QuotaDimension::InputTokens)
            .zip(self.per_minute(QuotaDimension::OutputTokens))
            .map(|(input, output)| input + output);
        self.per_minute(QuotaDimension::Tokens).or(each)
    }

    /// The shortest time in which these limits allow this use, and the limit that decides it. `None` if no limit is known.
    ///
    /// What is available at once takes no time. The rest comes at the rate of the limit.
    pub(crate) fn least_time(&self, used: &BTreeMap<String, Used>) -> Option<(Duration, String)> {
        let all = used.values().fold(Used::default(), Used::and);
        let times = self.known.iter().filter_map(|limit| {
            let used = match &limit.model {
                Some(model) => used.get(model).copied().unwrap_or_default(),
                None => all,
            };
            let used = used.of(limit.dimension);
            let later = (used - limit.at_once).max(0.0);
            let least = Duration::try_from_secs_f64(later / limit.rate()).ok()?;
            let what = of_model(limit.dimension, limit.model.as_deref());
            let (used, amount, window) = (amount(used), amount(limit.amount), time(limit.window));
            Some((least, format!("{used} {what} at {amount} in {window}")))
        });
        times.max_by_key(|(time, _)| *time)
    }
}

impl Limit {
    /// The amount in a second.
    fn rate(&self) -> f64 {
        self.amount / self.window.as_secs_f64()
    }

    fn is_same(&self, other: &Self) -> bool {
        (&self.model, self.dimension, self.window) == (&other.model, other.dimension, other.window)
    }
}

/// Adds the limits of a quota. Equal limits of several endpoints are summed.
fn note(seen: &mut Vec<Limit>, model: Option<&str>, quota: &QuotaSnapshot) {
    for told in quota.dimensions.iter().filter(|told| told.limit > 0 && !told.window.is_zero()) {
        let limit = Limit {
            model: model.map(str::to_owned),
            dimension: told.dimension,
            window: told.window,
            amount: told.limit as f64,
            at_once: told.available as f64,
        };
        match seen.iter_mut().find(|known| known.is_same(&limit)) {
            Some(known) => {
                known.amount += limit.amount;
                known.at_once += limit.at_once;
            }
            None => seen.push(limit),
        }
    }
}

/// What the next request of each model waits for.
fn short(snapshot: &Snapshot) -> Vec<String> {
    let mut short: Vec<_> = waiting(snapshot)
        .filter_map(|(endpoint, model)| match model.quota.bottleneck? {
            Bottleneck::Dimension(dimension) => Some(scarce(dimension, endpoint, model)),
            Bottleneck::Concurrency => Some(String::from("the concurrency limit")),
            Bottleneck::Gate => Some(String::from("the end of a refusal (429)")),
            _ => None,
        })
        .collect();
    short.sort_unstable();
    short.dedup();
    short
}

/// The models with waiting requests, each with its endpoint.
pub(crate) fn waiting(snapshot: &Snapshot) -> impl Iterator<Item = (&EndpointSnapshot, &ModelSnapshot)> {
    let endpoints = snapshot.endpoints.iter();
    let models = endpoints.flat_map(|endpoint| endpoint.models.iter().map(move |model| (endpoint, model)));
    models.filter(|(_, model)| model.quota.waiting > 0)
}

/// The name of a limit: `output tokens of m`. A limit that several models share is named without a model.
pub(crate) fn scarce(
    dimension: QuotaDimension,
    endpoint: &EndpointSnapshot,
    model: &ModelSnapshot,
) -> String {
    let is_own = model.quota.dimensions.iter().any(|limit| limit.dimension == dimension);
    of_model(dimension, model.name.as_deref().filter(|_| is_own || endpoint.models.len() == 1))
}

fn of_model(dimension: QuotaDimension, model: Option<&str>) -> String {
    match model {
        Some(model) if !model.is_empty() => format!("{dimension} of {model}"),
        _ => dimension.to_string(),
    }
}
