//! How the server of a scenario behaves.

use std::{ops::Range, time::Duration};

use serde::Deserialize;

use super::time::Time;
use crate::{
    Batching, Builder, Charging, Fault, Latency, LimitHeaders, ModelSettings, OtherUsers, Refusal, Simulator,
    Trouble, Window,
};

/// Settings of the builder. A missing one has its default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Server {
    seed: u64,
    key: Option<String>,
    requests_per_minute: Option<u64>,
    tokens_per_minute: Option<u64>,
    burst: Option<Time>,
    window: Option<Window>,
    charging: Option<Charging>,
    limit_headers: Option<LimitHeaders>,
    others_per_minute: Option<u64>,
    latency: Option<Times>,
    time_to_first_token: Option<Times>,
    tokens_per_second: Option<f64>,
    output_tokens: Option<(u64, u64)>,
    close_idle_after: Option<Time>,
    batching: Option<Batch>,
    fault: Vec<Rule>,
    trouble: Vec<Way>,
    outage: Vec<Between>,
    model: Vec<Model>,
}

/// One time, or a distribution.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Times {
    Fixed(Time),
    LogNormal(LogNormal),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogNormal {
    median: Time,
    p99: Time,
    max: Option<Time>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    base: Time,
    per_call: Time,
    slots: Option<usize>,
    queue: Option<usize>,
}

/// A fault, and when it strikes: by `chance`, on one `attempt` of each request, or in a span of time. Exactly one of the
/// three has to be given.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Rule {
    /// A refusal of this status.
    status: Option<u16>,
    /// Any other fault, by its name.
    kind: Option<FaultName>,
    /// Chunks of a stream before it strikes.
    after: u32,
    /// For `keep-alive`: the time between signs of life, and their number. Without a number the answer never comes.
    every: Option<Time>,
    count: Option<u32>,
    /// For a refusal.
    retry_after: Option<Time>,
    chance: Option<f64>,
    attempt: Option<u32>,
    from: Option<Time>,
    to: Option<Time>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FaultName {
    RateLimited,
    SlowDown,
    QuotaSpent,
    ResetBeforeHeaders,
    ResetAfterHeaders,
    CutShort,
    Silence,
    Stall,
    Truncate,
    ErrorEvent,
    KeepAlive,
    BadJson,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Way {
    kind: Trouble,
    from: Time,
    to: Time,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Between {
    from: Time,
    to: Time,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    name: String,
    requests_per_minute: Option<u64>,
    latency: Option<Times>,
}

impl Server {
    /// The first setting that makes no sense.
    pub(super) fn check(&self) -> Result<(), String> {
        for (index, rule) in self.fault.iter().enumerate() {
            let number = index + 1;
            rule.check().map_err(|why| format!("fault {number} of [server]: {why}"))?;
        }
        let times = self.trouble.iter().map(|way| (way.from, way.to));
        let outages = self.outage.iter().map(|between| (between.from, between.to));
        match times.chain(outages).find(|(from, to)| from.0 >= to.0) {
            Some((from, to)) => {
                Err(format!("[server]: {:?} to {:?} is no time: `from` has to be before `to`", from.0, to.0))
            }
            None => Ok(()),
        }
    }

    pub(super) fn builder(&self) -> Builder {
        let mut builder = Simulator::builder().seed(self.seed);
        if let Some(key) = &self.key {
            builder = builder.key(key);
        }
        if let Some(limit) = self.requests_per_minute {
            builder = builder.requests_per_minute(limit);
        }
        if let Some(limit) = self.tokens_per_minute {
            builder = builder.tokens_per_minute(limit);
        }
        if let Some(burst) = self.burst {
            builder = builder.burst(burst.0);
        }
        if let Some(window) = self.window {
            builder = builder.window(window);
        }
        if let Some(charging) = self.charging {
            builder = builder.charging(charging);
        }
        if let Some(headers) = self.limit_headers {
            builder = builder.limit_headers(headers);
        }
        if let Some(calls) = self.others_per_minute {
            builder = builder.other_users(OtherUsers::calls_per_minute(calls));
        }
        if let Some(times) = self.latency {
            builder = builder.latency(times.latency());
        }
        if let Some(times) = self.time_to_first_token {
            builder = builder.time_to_first_token(times.latency());
        }
        if let Some(speed) = self.tokens_per_second {
            builder = builder.tokens_per_second(speed);
        }
        if let Some((least, most)) = self.output_tokens {
            builder = builder.output_tokens(least..=most);
        }
        if let Some(idle) = self.close_idle_after {
            builder = builder.close_idle_after(idle.0);
        }
        if let Some(batch) = self.batching {
            builder = builder.batching(batch.batching());
        }
        builder = self.fault.iter().fold(builder, |builder, rule| rule.add_to(builder));
        builder = self.trouble.iter().fold(builder, |builder, way| builder.trouble(way.kind, way.times()));
        builder =
            self.outage.iter().fold(builder, |builder, Between { from, to }| builder.outage(from.0..to.0));
        self.model.iter().fold(builder, |builder, model| builder.model(&model.name, model.settings()))
    }
}

impl Times {
    fn latency(self) -> Latency {
        match self {
            Self::Fixed(time) => Latency::fixed(time.0),
            Self::LogNormal(LogNormal { median, p99, max }) => {
                let latency = Latency::log_normal(median.0, p99.0);
                max.map_or(latency, |max| latency.max(max.0))
            }
        }
    }
}

impl Batch {
    fn batching(self) -> Batching {
        let batching = Batching::new(self.base.0, self.per_call.0);
        let batching = self.slots.map_or(batching, |slots| batching.slots(slots));
        self.queue.map_or(batching, |queue| batching.queue(queue))
    }
}

impl Rule {
    fn check(&self) -> Result<(), &'static str> {
        let is_refusal = self.status.is_some()
            || matches!(
                self.kind,
                Some(FaultName::RateLimited | FaultName::SlowDown | FaultName::QuotaSpent)
            );
        let in_time = self.from.is_some() || self.to.is_some();
        let times = [self.chance.is_some(), self.attempt.is_some(), in_time];
        match () {
            () if self.status.is_some() == self.kind.is_some() => {
                Err("it needs a `status` or a `kind`, one of the two")
            }
            () if times.into_iter().filter(|told| *told).count() != 1 => {
                Err("it needs a `chance`, an `attempt`, or `from` and `to`, one of the three")
            }
            () if in_time && self.from.zip(self.to).is_none_or(|(from, to)| from.0 >= to.0) => {
                Err("it needs both `from` and `to`, the first before the second")
            }
            () if self.chance.is_some_and(|chance| !(0.0..=1.0).contains(&chance)) => {
                Err("`chance` is between 0 and 1")
            }
            () if self.retry_after.is_some() && !is_refusal => Err("`retry_after` is for a refusal"),
            () if (self.kind == Some(FaultName::KeepAlive)) != self.every.is_some() => {
                Err("`every` goes with `kind = \"keep-alive\"`, and that with `every`")
            }
            () => Ok(()),
        }
    }

    fn fault(&self) -> Fault {
        let after = self.after;
        let refusal = |refusal: Refusal| {
            Fault::Refuse(self.retry_after.map_or(refusal.clone(), |wait| refusal.retry_after(wait.0)))
        };
        match self.kind {
            None => refusal(Refusal::status(self.status.unwrap_or(500))),
            Some(FaultName::RateLimited) => refusal(Refusal::rate_limited()),
            Some(FaultName::SlowDown) => refusal(Refusal::slow_down()),
            Some(FaultName::QuotaSpent) => refusal(Refusal::quota_spent()),
            Some(FaultName::ResetBeforeHeaders) => Fault::ResetBeforeHeaders,
            Some(FaultName::ResetAfterHeaders) => Fault::ResetAfterHeaders { after },
            Some(FaultName::CutShort) => Fault::CutShort { after },
            Some(FaultName::Silence) => Fault::Silence,
            Some(FaultName::Stall) => Fault::Stall { after },
            Some(FaultName::Truncate) => Fault::Truncate { after },
            Some(FaultName::ErrorEvent) => Fault::ErrorEvent { after },
            Some(FaultName::KeepAlive) => {
                let every = self.every.map_or(Duration::from_secs(1), |every| every.0);
                Fault::KeepAlive { every, count: self.count }
            }
            Some(FaultName::BadJson) => Fault::BadJson,
        }
    }

    fn add_to(&self, builder: Builder) -> Builder {
        let fault = self.fault();
        match (self.chance, self.attempt, self.from, self.to) {
            (Some(chance), ..) => builder.fault(fault, chance),
            (_, Some(attempt), ..) => builder.fault_on_attempt(fault, attempt),
            (.., Some(from), Some(to)) => builder.fault_during(fault, from.0..to.0),
            _ => builder,
        }
    }
}

impl Way {
    fn times(self) -> Range<Duration> {
        self.from.0..self.to.0
    }
}

impl Model {
    fn settings(&self) -> ModelSettings {
        let mut settings = ModelSettings::new();
        if let Some(limit) = self.requests_per_minute {
            settings = settings.requests_per_minute(limit);
        }
        if let Some(times) = self.latency {
            settings = settings.latency(times.latency());
        }
        settings
    }
}
