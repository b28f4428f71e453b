//! The provider behind all connections: its settings, its clock, its quotas and its ledger.

use std::{
    collections::{BTreeMap, HashMap},
    ops::{Range, RangeInclusive},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    accounts::Accounts,
    batching::{Batch, Batching},
    builder::LimitHeaders,
    fault::Rule,
    keys::Key,
    latency::Latency,
    ledger::{Ledger, Seen},
    models::ModelSettings,
    plan::Plan,
    transport::Troubles,
    wall::Wall,
};

/// The settings. They do not change after `build`.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    /// If there are none, any key is accepted.
    pub(crate) keys: Vec<Key>,
    /// If there are none, any model is served.
    pub(crate) models: BTreeMap<String, ModelSettings>,
    pub(crate) limit_headers: LimitHeaders,
    pub(crate) latency: Latency,
    pub(crate) dial: Duration,
    pub(crate) way_in: Latency,
    pub(crate) first_token: Latency,
    /// Time for one token of an answer.
    pub(crate) token_time: Duration,
    pub(crate) output_tokens: RangeInclusive<u64>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) idle_close: Option<Duration>,
    pub(crate) max_body: usize,
    pub(crate) plan: Option<Plan>,
    /// How far a count of tokens may be from the average. `None`: characters alone are counted.
    pub(crate) token_spread: Option<f64>,
    pub(crate) outages: Vec<Range<Duration>>,
    pub(crate) troubles: Troubles,
    pub(crate) headers_at_admission: bool,
    /// Whether a reply of which no byte left is billed.
    pub(crate) bill_unseen: bool,
    pub(crate) batching: Option<Batching>,
}

impl Settings {
    pub(crate) fn serves(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.contains_key(model)
    }

    /// The rules that may strike a request: those of the builder, of its key, and of its model.
    pub(crate) fn rules(&self, seen: &Seen) -> [&[Rule]; 3] {
        let key = seen.key.and_then(|key| self.keys.get(key));
        let model = seen.model.as_ref().and_then(|model| self.models.get(model));
        [&self.rules, key.map_or(&[], |key| &key.settings.rules), model.map_or(&[], |model| &model.rules)]
    }
}

/// The key by which two sends are attempts at the same request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Identity {
    Item,
    Key,
    Body,
}

#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) settings: Settings,
    started: Instant,
    // The wall clock at `started`.
    anchor: Wall,
    /// The quotas as they were at the start, without other users, for the oracle.
    pub(crate) untouched: Accounts,
    state: Mutex<State>,
    pub(crate) batch: Option<Batch>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) quotas: Accounts,
    pub(crate) ledger: Ledger,
    /// Admitted attempts by request: its item, or the hash of its idempotency key or body.
    pub(crate) attempts: HashMap<(Identity, u64), u32>,
    pub(crate) in_flight: usize,
}

impl Provider {
    pub(crate) fn new(settings: Settings, quotas: Accounts, anchor: Wall) -> Self {
        let untouched = quotas.without_others();
        let ledger = Ledger { outages: settings.outages.clone(), ..Ledger::default() };
        let state = Mutex::new(State { quotas, ledger, ..State::default() });
        let batch = settings.batching.map(Batch::new);
        Self { settings, started: Instant::now(), anchor, untouched, state, batch }
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// The outage at this time, if there is one.
    pub(crate) fn outage_at(&self, at: Duration) -> Option<&Range<Duration>> {
        self.settings.outages.iter().find(|times| times.contains(&at))
    }

    /// Time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn wall(&self) -> Wall {
        self.anchor.after(self.now())
    }

    /// Locks the state. No code of the user runs under this lock, so only a bug in this crate can poison it. Even then the
    /// ledger is worth reading.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
