//! What all handles of a manager share, and all that runs for them.

use std::{
    collections::BTreeMap,
    fmt,
    num::NonZeroU32,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use outbound_limiter::ConcurrencyLimiter;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    admission::Admission,
    attempt::Prepared,
    error::{Error, ErrorKind},
    judge::Rules,
    key::{idempotency_key, mix},
    lifecycle::Lifecycle,
    observe::{Event, Observed, Step},
    record::Record,
    reply::Reply,
    request::Request,
    run::Run,
    scope::{Account, Scope},
    settings::Settings,
    shared::Seat,
    wall_clock::WallClock,
    wire::Wire,
};

/// So many times `max_concurrent` submitted requests may be without an outcome.
const SUBMITTED: usize = 8;

/// What all handles share, and all that runs for them.
pub(crate) struct Inner {
    account: Arc<Account>,
    others: BTreeMap<String, Arc<Account>>,
    settings: Settings,
    seed: u64,
    /// Requests so far: where the draws of each come from, with `seed`.
    begun: AtomicU64,
    clock: WallClock,
    pub(crate) lifecycle: Arc<Lifecycle>,
    /// How many submitted requests there may be that have no outcome.
    pub(super) room: ConcurrencyLimiter,
    /// Submitted requests that a shutdown kept from being sent, until a shutdown gives them back.
    pub(super) returned: Mutex<Vec<Request>>,
}

/// One handle. When the last one is dropped, what runs is cut off; a task of a request is none.
#[derive(Clone)]
pub(crate) struct Handle(Arc<AbortOnDrop>);

/// Cuts everything off when it is dropped.
pub(crate) struct AbortOnDrop(pub(super) Arc<Inner>);

impl Inner {
    pub(super) fn new(
        account: Account,
        others: BTreeMap<String, Account>,
        settings: Settings,
        seed: u64,
        wall_clock: SystemTime,
    ) -> Self {
        let others: BTreeMap<_, _> =
            others.into_iter().map(|(name, account)| (name, Arc::new(account))).collect();
        let concurrent = others.values().map(|account| account.max_concurrent);
        let width = concurrent.fold(account.max_concurrent, usize::saturating_add);
        Self {
            account: Arc::new(account),
            others,
            settings,
            seed,
            begun: AtomicU64::new(0),
            clock: WallClock::starting_at(wall_clock),
            lifecycle: Arc::default(),
            room: ConcurrencyLimiter::new(width.saturating_mul(SUBMITTED)),
            returned: Mutex::default(),
        }
    }

    /// `max_concurrent`, of all endpoints together.
    pub(crate) fn width(&self) -> usize {
        self.accounts().map(|account| account.max_concurrent).fold(0, usize::saturating_add)
    }

    pub(crate) fn has_one_endpoint(&self) -> bool {
        self.others.is_empty()
    }

    pub(crate) fn equal_refusals(&self) -> Option<NonZeroU32> {
        self.settings.stop_after_equal_refusals
    }

    /// A submitted request that was not sent: a shutdown gives it back.
    pub(crate) fn give_back(&self, request: Request) {
        self.returned.lock().push(request);
    }

    /// One request, to its reply or its error.
    pub(crate) async fn run(
        &self,
        request: &Request,
        index: usize,
        since: Option<Instant>,
        record: &mut Record,
        seat: &mut Seat,
    ) -> Result<Reply, Error> {
        let account = match &request.endpoint {
            None => &self.account,
            Some(name) => self.others.get(name).ok_or_else(|| {
                Error::new(ErrorKind::Invalid, format!("there is no endpoint of the name {name:?}"))
            })?,
        };
        let settings = &self.settings;
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let key = || idempotency_key(self.seed, request.id.as_deref(), number);
        let prepared = Prepared::new(request, account, settings, key)?;
        let scope = Scope::of(account, prepared.facts.model.as_deref());
        let observed = settings.observer.as_deref().map(|observer| {
            let (id, model) = (request.id.as_deref(), prepared.facts.model.as_deref());
            let endpoint = account.name.as_deref();
            Observed { observer, event: Event { id, index, endpoint, model, step: Step::Queued } }
        });
        if let Some(observed) = &observed {
            observed.tell(Step::Queued);
        }
        let run = Run {
            scope: &scope,
            attempt: Wire { scope: &scope, clock: &self.clock, observed },
            admission: Admission {
                scope: &scope,
                lifecycle: &self.lifecycle,
                seat,
                cost: prepared.cost,
                limit: request.deadline.unwrap_or(settings.deadline),
                since,
                observed,
            },
            prepared: &prepared,
            rules: Rules { max_attempts: settings.max_attempts, retry_ambiguous: settings.retry_ambiguous },
            number,
            draw: mix(self.seed, number),
        };
        let result = run.run(record).await;
        if let Some(observed) = &observed {
            let failure = result.as_ref().err().map(Error::kind);
            observed.tell(Step::Ended { failure });
        }
        result
    }

    /// Wakes all who wait, so that they ask again whether they may go.
    pub(crate) fn notify(&self) {
        self.accounts().for_each(|account| account.notify().notify_waiters());
    }

    /// Lets nobody in and sends nothing more.
    pub(super) fn drain(&self) {
        self.lifecycle.drain();
        // Whoever waits for room is let in, and finds the doors closed.
        self.room.resize(ConcurrencyLimiter::MAX_PERMITS);
        self.accounts().for_each(|account| account.close());
    }

    pub(super) fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        std::iter::once(&self.account).chain(self.others.values())
    }
}

impl Handle {
    pub(super) fn new(inner: Inner) -> Self {
        Self(Arc::new(AbortOnDrop(Arc::new(inner))))
    }
}

impl Deref for Handle {
    type Target = Arc<Inner>;

    fn deref(&self) -> &Arc<Inner> {
        &self.0.0
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.drain();
        self.0.lifecycle.abort();
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}
