//! An endpoint at work: its client, its quota, and what has been learnt about it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use outbound_client::Client;
use outbound_limiter::QuotaLimiter;
use outbound_provider::{Auth, Provider};
use outbound_retry::Budget;
use tokio::{sync::watch, time::Instant};

use super::{
    builder::BuildError,
    endpoint::Endpoint,
    error::{Error, ErrorKind},
    manager::Settings,
    pressure::Pressure,
};

/// The longest pause between two probes of a provider that is down.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// One endpoint, shared by all its requests: what one of them learns, all of them know.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) provider: Provider,
    pub(crate) client: Client,
    pub(crate) quota: QuotaLimiter,
    /// How many requests may be in flight, when all is well.
    pub(crate) max_concurrent: usize,
    budget: Budget,
    health: Mutex<Health>,
    /// Why nothing may be sent, if that is so. Those who wait for anything watch it.
    stopped: watch::Sender<Option<Stopped>>,
}

#[derive(Debug)]
struct Health {
    pressure: Pressure,
    /// Whether this endpoint ever replied.
    replied: bool,
}

/// A reason that holds for every request of an endpoint.
#[derive(Debug, Clone)]
struct Stopped {
    kind: ErrorKind,
    message: String,
    /// `None` is for good.
    until: Option<Instant>,
}

/// One request's failure, as far as it concerns the endpoint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setback {
    pub(crate) now: Instant,
    pub(crate) sent_at: Instant,
    /// Between 0 and 1, of the request's own: keeps processes apart that fail together.
    pub(crate) spread: f64,
}

impl Scope {
    pub(crate) fn build(endpoint: Endpoint, settings: &Settings) -> Result<Self, BuildError> {
        let provider = endpoint.provider;
        let base_url = endpoint.base_url.as_deref().or(provider.base_url()).ok_or_else(|| {
            let name = provider.name();
            BuildError::new(format!("the provider {name} has no address of its own: give a base_url"))
        })?;
        if endpoint.max_concurrent > Endpoint::MOST_CONCURRENT {
            let (asked, most) = (endpoint.max_concurrent, Endpoint::MOST_CONCURRENT);
            return Err(BuildError::new(format!("{asked} requests at once are more than {most}")));
        }
        let client = endpoint.client.unwrap_or_else(Client::builder);
        let mut client = client.base_url(base_url).limits(settings.limits());
        for (name, value) in provider.default_headers() {
            client = client.default_header(*name, *value);
        }
        for (name, value) in &endpoint.headers {
            client = client.default_header(name, value);
        }
        if let Some(key) = endpoint.key {
            client = match provider.auth() {
                Auth::Bearer => client.bearer_auth(key),
                Auth::Header(name) => client.auth(name, key),
            };
        }
        let mut quota = QuotaLimiter::builder().max_concurrent(endpoint.max_concurrent);
        if let Some(requests) = endpoint.requests_per_minute {
            quota = quota.requests_per_minute(requests);
        }
        if let Some(tokens) = endpoint.tokens_per_minute {
            quota = quota.tokens_per_minute(tokens);
        }
        if let Some(tokens) = endpoint.input_tokens_per_minute {
            quota = quota.input_tokens_per_minute(tokens);
        }
        if let Some(tokens) = endpoint.output_tokens_per_minute {
            quota = quota.output_tokens_per_minute(tokens);
        }
        // A pause of our own must not be what makes a request late.
        let longest_pause = LONGEST_PAUSE.min(settings.deadline / 4);
        Ok(Self {
            provider,
            client: client.build().map_err(BuildError::of)?,
            quota: quota.build().map_err(BuildError::of)?,
            max_concurrent: endpoint.max_concurrent,
            budget: Budget::percent(10),
            health: Mutex::new(Health {
                pressure: Pressure::new(endpoint.max_concurrent, longest_pause),
                replied: false,
            }),
            stopped: watch::Sender::new(None),
        })
    }

    /// Why nothing may be sent now, if that is so.
    pub(crate) fn stopped(&self, now: Instant) -> Option<Error> {
        let stopped = self.stopped.borrow();
        let stopped = stopped.as_ref().filter(|stopped| stopped.holds(now))?;
        Some(Error::new(stopped.kind, stopped.message.clone()))
    }

    /// Returns when nothing may be sent any more, with the reason.
    pub(crate) async fn until_stopped(&self) -> Error {
        let mut changes = self.stopped.subscribe();
        loop {
            if let Some(error) = self.stopped(Instant::now()) {
                return error;
            }
            // The sender is `self`, so waiting cannot fail.
            let _ = changes.changed().await;
        }
    }

    /// Stops everything: no request of this endpoint can succeed, until then or ever.
    pub(crate) fn stop(&self, kind: ErrorKind, message: String, until: Option<Instant>) {
        self.stopped.send_if_modified(|stopped| {
            let for_good = stopped.as_ref().is_some_and(|stopped| stopped.until.is_none());
            if !for_good {
                *stopped = Some(Stopped { kind, message, until });
            }
            !for_good
        });
    }

    pub(crate) fn succeeded(&self) {
        self.budget.deposit();
        self.learn(|health| {
            health.replied = true;
            health.pressure.succeeded();
        });
    }

    /// The provider said it is overloaded, and perhaps for how long. That gates sending, and leaves the quota's
    /// estimates alone.
    pub(crate) fn overloaded(&self, setback: Setback, told: Option<Duration>) {
        let in_flight = self.quota.snapshot().in_flight;
        self.learn(|health| health.pressure.overloaded(setback.now, setback.sent_at, in_flight));
        if let Some(wait) = told {
            self.quota.close_gate_until(setback.now, setback.now + wait);
        }
        self.failed(setback);
    }

    /// Any failure that is the provider's.
    pub(crate) fn failed(&self, setback: Setback) {
        let Setback { now, sent_at, spread } = setback;
        let pause = self.learn(|health| health.pressure.failed(now, sent_at, spread));
        if !pause.is_zero() {
            self.quota.close_gate_until(now, now + pause);
        }
    }

    /// Notes that the endpoint is there.
    pub(crate) fn replied(&self) {
        self.health().replied = true;
    }

    /// Whether the endpoint ever replied.
    pub(crate) fn ever_replied(&self) -> bool {
        self.health().replied
    }

    /// Pays for an extra call. When the budget is spent and nothing but failures comes back, one call at a time finds
    /// out whether the provider is there again.
    pub(crate) fn pay_for_retry(&self, now: Instant) {
        if !self.health().pressure.is_probing() && !self.budget.try_withdraw() {
            let probing = self.learn(|health| {
                health.pressure.budget_spent(now);
                health.pressure.is_probing()
            });
            if probing {
                tracing::warn!(provider = self.provider.name(), "the provider seems to be down: probing");
            }
        }
    }

    fn learn<T>(&self, what: impl FnOnce(&mut Health) -> T) -> T {
        let mut health = self.health();
        let before = health.pressure.bound();
        let learnt = what(&mut health);
        let after = health.pressure.bound();
        if after != before {
            self.quota.set_max_concurrent(Some(after));
        }
        learnt
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stopped {
    fn holds(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}
