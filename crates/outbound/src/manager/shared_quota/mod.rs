//! A quota that is shared with other processes through a [`QuotaStore`](crate::quota_store::QuotaStore).
//!
//! Each [quota limiter](QuotaLimiter) of an account (its own, and that of each model) has a task that fetches chunks from the
//! store and puts them into the limiter. Requests ask only the limiter.

mod away;
mod holding;
mod rules;
mod store;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    future::pending,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::{Either, select};
use outbound_limiter::QuotaLimiter;
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, error::Elapsed, sleep_until, timeout},
};

use self::holding::{Holding, Seen, Step, Units};
pub(crate) use self::{rules::account_name, store::AnyStore};
use crate::quota_store::{Grant, QuotaError, Scope};

/// How long one attempt at an exchange may take.
const ATTEMPT: Duration = Duration::from_secs(2);

/// What the provider says remains is believed for so long.
const FRESH: Duration = Duration::from_secs(2);

/// How long the last exchange may take, which gives back what is in hand.
const LAST_ATTEMPT: Duration = Duration::from_secs(1);

/// A pause of less than this stays with the process that was refused: all others would stand still for as long as a probe
/// takes.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// The part of a quota that this process has. Dropping it gives back what is in hand.
pub(crate) struct SharedQuota(Arc<Inner>);

struct Inner {
    store: Arc<dyn AnyStore>,
    /// By what all processes know the quota, without the dimensions.
    name: String,
    quota: QuotaLimiter,
    /// The same of the account, where this is a model's.
    above: Option<Arc<Self>>,
    holding: Mutex<Holding>,
    /// Whether there are limits to share.
    has_rules: AtomicBool,
    /// Whether a probe is under way.
    probes: AtomicBool,
    /// Something is to be looked at now.
    changed: Notify,
    ended: AtomicBool,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// The state of a shared quota. In [`EndpointSnapshot`](super::EndpointSnapshot) and
/// [`ModelSnapshot`](super::ModelSnapshot).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuotaStoreSnapshot {
    /// Since when the store does not answer. `None`: it does.
    pub away_since: Option<Instant>,
    /// How many processes hold or want a part of this quota, as the store last said. 0: it has not said yet.
    pub holders: u32,
    /// How many exchanges were answered.
    pub exchanges: u64,
}

impl SharedQuota {
    pub(crate) fn new(
        store: Arc<dyn AnyStore>,
        name: String,
        quota: QuotaLimiter,
        above: Option<&Self>,
    ) -> Self {
        let inner = Inner {
            store,
            name,
            quota,
            above: above.map(|above| Arc::clone(&above.0)),
            holding: Mutex::new(Holding::new(rand::random(), Instant::now())),
            has_rules: AtomicBool::new(false),
            probes: AtomicBool::new(false),
            changed: Notify::new(),
            ended: AtomicBool::new(false),
            task: Mutex::default(),
        };
        let shared = Self(Arc::new(inner));
        // From the start, so that no request goes before the first grant.
        shared.limits_changed();
        shared
    }

    pub(crate) fn store(&self) -> &Arc<dyn AnyStore> {
        &self.0.store
    }

    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// A request waits: looks at once what it lacks. Starts the task if none runs, on the current runtime.
    pub(crate) fn wake(&self) {
        self.start();
        self.0.changed.notify_one();
        if let Some(above) = &self.0.above {
            above.changed.notify_one();
        }
    }

    /// Starts the task if none runs. Does nothing outside a runtime.
    pub(crate) fn start(&self) {
        if let Some(above) = &self.0.above {
            above.start();
        }
        self.0.start();
    }

    /// The limits of the quota are others now.
    pub(crate) fn limits_changed(&self) {
        let limits = self.0.quota.snapshot().dimensions;
        let mut holding = self.0.holding.lock();
        let rules = rules::shared(&limits, holding.holders);
        self.0.follow(&mut holding, rules);
        drop(holding);
        self.0.changed.notify_one();
    }

    /// The provider has refused a request of this quota, and nothing is sent until then. All who share it are told.
    pub(crate) fn refused(&self, now: Instant, until: Instant) {
        if until < now + SHORTEST_PAUSE {
            return;
        }
        let own = &self.0;
        // The limits that were hit are those of the model, or else those of the account.
        let hit = match &own.above {
            Some(above) if !own.has_rules() && above.has_rules() => above,
            _ => own,
        };
        hit.holding.lock().refused(until);
        hit.changed.notify_one();
    }

    /// A reply has come to a request that was sent at `sent_at`.
    pub(crate) fn replied(&self, sent_at: Instant) {
        self.0.replied(sent_at);
        if let Some(above) = &self.0.above {
            above.replied(sent_at);
        }
    }

    /// Gives back what is in hand, and ends the task.
    pub(crate) fn end(&self) {
        self.0.ended.store(true, Ordering::SeqCst);
        self.0.changed.notify_one();
    }

    /// As [`end`](Self::end), and waits for it.
    pub(crate) async fn ended(&self) {
        self.end();
        let task = self.0.task.lock().take();
        if let Some(task) = task {
            // The limit is for a runtime that does not run.
            let _ = timeout(LAST_ATTEMPT * 2, task).await;
        }
    }

    pub(crate) fn snapshot(&self) -> QuotaStoreSnapshot {
        let holding = self.0.holding.lock();
        QuotaStoreSnapshot {
            away_since: holding.away.since(),
            holders: holding.holders,
            exchanges: holding.exchanges,
        }
    }
}

impl Inner {
    fn start(self: &Arc<Self>) {
        let mut task = self.task.lock();
        if task.as_ref().is_none_or(JoinHandle::is_finished)
            && !self.ended.load(Ordering::SeqCst)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            *task = Some(runtime.spawn(Arc::clone(self).keep_filled()));
        }
    }

    fn replied(&self, sent_at: Instant) {
        if self.probes.load(Ordering::Relaxed) {
            self.holding.lock().replied(sent_at);
            self.changed.notify_one();
        }
    }

    /// The task. All that must outlive it is in `holding`, so that another task can take over.
    async fn keep_filled(self: Arc<Self>) {
        let mut exchange: Option<Running<'_>> = None;
        while !self.ended.load(Ordering::SeqCst) {
            let (wake, ask) = self.look(exchange.as_ref().map(|exchange| exchange.since));
            if let Some((scope, asked)) = ask {
                exchange = Some(self.ask(scope, asked, ATTEMPT));
                continue;
            }
            let answer = async {
                match &mut exchange {
                    Some(exchange) => exchange.answer.as_mut().await,
                    None => pending().await,
                }
            };
            let (slept, changed) = (pin!(sleep_until(wake)), pin!(self.changed.notified()));
            let answer = match select(pin!(answer), select(slept, changed)).await {
                Either::Left((answer, _)) => answer,
                Either::Right(_) => continue,
            };
            if let Some(done) = exchange.take() {
                self.answered(answer, done.since);
            }
        }
        drop(exchange);
        self.give_back().await;
    }

    /// Looks at the limiter, and does what is to be done without the store. Returns when to look again, and what to ask.
    fn look(&self, asked: Option<Instant>) -> (Instant, Option<(Scope, crate::quota_store::Exchange)>) {
        let now = Instant::now();
        let snapshot = self.quota.snapshot();
        let mut holding = self.holding.lock();
        let holding = &mut *holding;
        self.follow(holding, rules::shared(&snapshot.dimensions, holding.holders));
        let mut seen = self.seen(holding);
        if holding.is_over(now) {
            self.take_back(holding);
            seen = self.seen(holding);
        }
        let credit = holding.credit(now, &seen);
        if credit.iter().any(|units| *units > 0) {
            self.put(holding, &credit);
            holding.put(&credit);
            seen = self.seen(holding);
        }
        if let Some(since) = asked {
            let silent = holding.away.waits(since, now);
            let wake = if silent > now { silent } else { now + holding::SHORTEST };
            return (holding.over_at().map_or(wake, |over| wake.min(over.max(now))), None);
        }
        if holding.rules.is_empty() && self.above.as_ref().is_none_or(|above| above.has_rules()) {
            // Pauses are told where there are limits, and else where the model is.
            return (now + ATTEMPT / 2, None);
        }
        match holding.step(now, &seen) {
            Step::Wait(until) => (until, None),
            Step::Ask(exchange) => {
                let owed = holding.forgive();
                self.put(holding, &owed);
                (now, Some((rules::scope(&self.name, &holding.rules), exchange)))
            }
        }
    }

    fn has_rules(&self) -> bool {
        self.has_rules.load(Ordering::Relaxed)
    }

    /// Counts those dimensions by grants that have rules.
    fn follow(&self, holding: &mut Holding, rules: Vec<rules::Shared>) {
        if rules == holding.rules {
            return;
        }
        let before: Vec<_> = holding.rules.iter().map(|rule| rule.dimension).collect();
        if holding.follow(rules) {
            for dimension in before {
                self.quota.lift_grants(dimension);
            }
            for rule in &holding.rules {
                self.quota.require_grants(rule.dimension);
            }
            self.has_rules.store(!holding.rules.is_empty(), Ordering::Relaxed);
        }
    }

    fn seen(&self, holding: &Holding) -> Seen {
        let snapshot = self.quota.snapshot();
        let units = holding.rules.iter().map(|rule| {
            let limits = snapshot.dimensions.iter().filter(|limit| limit.dimension == rule.dimension);
            let said = limits.filter_map(|limit| limit.server_remaining).max_by_key(|(at, _)| *at);
            let grants = snapshot.granted.iter().find(|grants| grants.dimension == rule.dimension);
            grants.map_or_else(Units::default, |grants| Units {
                level: i128::from(grants.available) - i128::from(grants.owed),
                queued: grants.queued,
                first: grants.first,
                remaining: said.filter(|(at, _)| at.elapsed() < FRESH).map(|(_, remaining)| remaining),
            })
        });
        Seen { units: units.collect(), in_flight: snapshot.in_flight > 0, waiting: snapshot.waiting > 0 }
    }

    fn put(&self, holding: &Holding, units: &[u64]) {
        for (rule, units) in holding.rules.iter().zip(units).filter(|(_, units)| **units > 0) {
            self.quota.grant(rule.dimension, *units);
        }
    }

    fn take_back(&self, holding: &mut Holding) {
        let taken: Vec<u64> =
            holding.rules.iter().map(|rule| self.quota.reclaim(rule.dimension, u64::MAX)).collect();
        holding.took_back(&taken);
    }

    fn ask(&self, scope: Scope, exchange: crate::quota_store::Exchange, most: Duration) -> Running<'static> {
        let store = Arc::clone(&self.store);
        let answer = async move { timeout(most, store.exchange(&scope, exchange)).await };
        Running { since: Instant::now(), answer: Box::pin(answer) }
    }

    fn answered(&self, answer: Answer, since: Instant) {
        let now = Instant::now();
        let mut holding = self.holding.lock();
        if !holding.is_asked() {
            // Other dimensions are counted since then, in another scope.
            return;
        }
        let failure = match answer {
            Ok(Ok(grant)) => {
                if holding.away.since().is_some() {
                    tracing::info!(scope = %self.name, "the store of quota answers again");
                }
                holding.answered(&grant, since, now);
                if let Some(pause) = grant.pause {
                    self.quota.close_gate_until(now, now + pause);
                    self.take_back(&mut holding);
                }
                self.probes.store(holding.probing.is_some(), Ordering::Relaxed);
                return self.put(&holding, &grant.granted);
            }
            Ok(Err(error)) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                source.unwrap_or_else(|| error.to_string())
            }
            Err(_) => format!("no answer in {ATTEMPT:?}"),
        };
        if holding.failed(since, now) {
            tracing::warn!(scope = %self.name, %failure, "the store of quota is away: a share of the limits goes on");
        }
    }

    /// The last exchange.
    async fn give_back(&self) {
        let asked = {
            let mut holding = self.holding.lock();
            self.take_back(&mut holding);
            let seen = self.seen(&holding);
            let scope = rules::scope(&self.name, &holding.rules);
            holding.last(Instant::now(), &seen).map(|exchange| (scope, exchange))
        };
        if let Some((scope, exchange)) = asked {
            drop(self.ask(scope, exchange, LAST_ATTEMPT).answer.await);
        }
    }
}

type Answer = Result<Result<Grant, QuotaError>, Elapsed>;

/// An exchange under way.
struct Running<'a> {
    since: Instant,
    answer: Pin<Box<dyn Future<Output = Answer> + Send + 'a>>,
}

impl Drop for SharedQuota {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for SharedQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedQuota").field("name", &self.0.name).finish_non_exhaustive()
    }
}
