//! Snapshots of a manager's state.

use std::{fmt, time::Duration};

use outbound_limiter::{Bottleneck, Snapshot as QuotaSnapshot};
use tokio::time::Instant;

use super::{
    inner::Inner,
    money::Money,
    scope::{Account, Model, Stopped},
    shared_quota::{QuotaStoreSnapshot, SharedQuota},
};

/// The state of a manager. Made by [`RequestManager::snapshot`](super::RequestManager::snapshot). Its `Display` is for
/// people.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Snapshot {
    /// How many requests are active: waiting, backing off, or in flight.
    pub active: usize,
    /// Whether it is [paused](super::RequestManager::pause).
    pub paused: bool,
    /// What was spent, by the prices.
    pub spent: Money,
    /// The budget.
    pub budget: Option<Money>,
    /// The endpoints, with one entry for each key. The manager's own come first.
    pub endpoints: Vec<EndpointSnapshot>,
}

/// The state of an endpoint with one key.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EndpointSnapshot {
    /// Its name. `None` for the manager's own.
    pub name: Option<String>,
    /// Its address, without anything secret.
    pub address: String,
    /// Why nothing is sent with this key, if it is stopped.
    pub stopped: Option<Stopped>,
    /// How long the address has been out: nothing came back, though requests were sent.
    pub out_for: Option<Duration>,
    /// When the next request probes the address. `None` if a probe is in flight, or if the address is not out.
    pub next_probe: Option<Instant>,
    /// The limits of all its models together.
    pub quota: QuotaSnapshot,
    /// How these limits are shared, with a [`quota_store`](super::RequestManagerBuilder::quota_store).
    pub quota_store: Option<QuotaStoreSnapshot>,
    /// The models that requests have named.
    pub models: Vec<ModelSnapshot>,
}

/// The state of a model of an endpoint.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ModelSnapshot {
    /// Its name. `None` stands for requests that name no model.
    pub name: Option<String>,
    /// Why nothing is sent for this model, if it is stopped.
    pub stopped: Option<Stopped>,
    /// How long all calls have failed. One request at a time probes whether that is over.
    pub failing_for: Option<Duration>,
    /// When the next request probes the model. `None` if a probe is in flight, or if the model does not fail.
    pub next_probe: Option<Instant>,
    /// Its limits, as learnt from replies. Also what the first waiting request waits for, and until when.
    pub quota: QuotaSnapshot,
    /// How these limits are shared, with a [`quota_store`](super::RequestManagerBuilder::quota_store).
    pub quota_store: Option<QuotaStoreSnapshot>,
}

impl Snapshot {
    pub(super) fn of(inner: &Inner, now: Instant) -> Self {
        let endpoints = inner.named_accounts();
        Self {
            active: inner.lifecycle.active(),
            paused: inner.lifecycle.is_paused(),
            spent: inner.budget.spent(),
            budget: inner.budget.limit(),
            endpoints: endpoints.map(|(name, account)| EndpointSnapshot::of(name, account, now)).collect(),
        }
    }
}

impl EndpointSnapshot {
    fn of(name: Option<&str>, account: &Account, now: Instant) -> Self {
        let models: Vec<_> = account.models.lock().clone();
        Self {
            name: name.map(str::to_owned),
            address: account.address.clone(),
            stopped: account.stopped(now),
            out_for: account.reach.out_since().map(|since| now.saturating_duration_since(since)),
            next_probe: account.reach.next_probe(),
            quota: account.quota.snapshot(),
            quota_store: account.shared.as_ref().map(SharedQuota::snapshot),
            models: models.iter().map(|model| ModelSnapshot::of(model, now)).collect(),
        }
    }
}

impl ModelSnapshot {
    fn of(model: &Model, now: Instant) -> Self {
        Self {
            name: model.name.as_deref().map(str::to_owned),
            stopped: model.stopped(now),
            failing_for: model.down_since().map(|since| now.saturating_duration_since(since)),
            next_probe: model.next_probe(),
            quota: model.quota.snapshot(),
            quota_store: model.shared.as_ref().map(SharedQuota::snapshot),
        }
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests active", self.active)?;
        if self.paused {
            f.write_str(", paused")?;
        }
        if self.spent > Money::ZERO || self.budget.is_some() {
            write!(f, ", {} spent", self.spent)?;
        }
        if let Some(budget) = self.budget {
            write!(f, " of {budget}")?;
        }
        self.endpoints.iter().try_for_each(|endpoint| write!(f, "\n{endpoint}"))
    }
}

impl fmt::Display for EndpointSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        if let Some(name) = &self.name {
            write!(f, " ({name})")?;
        }
        let quota = &self.quota;
        write!(f, ": {} in flight", quota.in_flight)?;
        if let Some(most) = quota.max_concurrent {
            write!(f, " of {most}")?;
        }
        if let Some(out) = self.out_for {
            write!(f, ", out for {:.0} s", out.as_secs_f64())?;
        }
        if let Some(stopped) = &self.stopped {
            write!(f, ", stopped: {}", stopped.message)?;
        }
        limits(quota, f)?;
        self.models.iter().try_for_each(|model| write!(f, "\n  {model}"))
    }
}

impl fmt::Display for ModelSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quota = &self.quota;
        write!(f, "{}: {} in flight", self.name.as_deref().unwrap_or("no model"), quota.in_flight)?;
        if quota.waiting > 0 {
            write!(f, ", {} waiting", quota.waiting)?;
            match quota.bottleneck {
                Some(Bottleneck::Dimension(dimension)) => write!(f, " for {dimension}")?,
                Some(Bottleneck::Concurrency) => f.write_str(" for one in flight to end")?,
                Some(Bottleneck::Gate) => f.write_str(" for the end of a refusal")?,
                _ => {}
            }
            if let Some(next) = quota.next_admission {
                write!(
                    f,
                    ", the next in {:.1} s",
                    next.saturating_duration_since(Instant::now()).as_secs_f64()
                )?;
            }
        }
        if let Some(failing) = self.failing_for {
            write!(f, ", failing for {:.0} s", failing.as_secs_f64())?;
        }
        if let Some(stopped) = &self.stopped {
            write!(f, ", stopped: {}", stopped.message)?;
        }
        limits(quota, f)
    }
}

fn limits(quota: &QuotaSnapshot, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    quota.dimensions.iter().try_for_each(|dimension| {
        let (name, limit, window) = (dimension.dimension, dimension.limit, dimension.window.as_secs_f64());
        write!(f, "; {name}: {limit} in {window:.0} s")
    })
}
