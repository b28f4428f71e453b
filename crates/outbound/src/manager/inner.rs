//! The core of a manager: what all its handles and tasks share.

use std::{
    collections::BTreeMap,
    fmt,
    num::NonZeroU32,
    ops::Deref,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use futures::future::{Either, select};
use outbound_limiter::{ConcurrencyLimiter, Keyed, OwnedPermit};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    admission::{Admission, EndpointHistory},
    batch_state::BatchMember,
    destination::Destination,
    emitter::EventEmitter,
    error::{Error, ErrorKind},
    item::ItemSender,
    judge::Rules,
    lifecycle::Lifecycle,
    money::Budget,
    prepared::Prepared,
    record::Record,
    reply::Reply,
    request::Request,
    request_log::RequestLog,
    reuse::Reuse,
    route::Route,
    run::{Hedges, Run},
    scope::{Account, Scope},
    seed::{idempotency_key, mix},
    settings::Settings,
    wall_clock::WallClock,
    wire::Wire,
};

/// How many submitted requests may be without an outcome, in multiples of `max_concurrent`.
const SUBMITTED_FACTOR: usize = 8;

/// What all handles and tasks of a manager share.
pub(crate) struct Inner {
    accounts: Accounts,
    named: BTreeMap<String, Accounts>,
    settings: Settings,
    /// `None`: each request makes its own call.
    reuse: Option<Reuse>,
    hedges: Option<Hedges>,
    seed: u64,
    /// How many requests have started. The draws of each come from this number and `seed`.
    requests_started: AtomicU64,
    clock: WallClock,
    pub(super) budget: Budget,
    pub(crate) lifecycle: Arc<Lifecycle>,
    /// Limits how many submitted requests of each tenant have no outcome yet.
    pub(super) submit_limits: Keyed<Option<String>, ConcurrencyLimiter>,
    /// Submitted requests that were not sent because of a shutdown. The next shutdown call returns them.
    pub(super) returned: Mutex<Vec<Request>>,
}

/// The accounts behind one name: at least one.
pub(crate) type Accounts = Vec<Arc<Account>>;

/// One handle. When the last one is dropped, all tasks are aborted. The task of a request holds no handle.
#[derive(Clone)]
pub(crate) struct Handle(Arc<AbortOnDrop>);

/// Aborts all tasks when it is dropped.
pub(crate) struct AbortOnDrop(pub(super) Arc<Inner>);

/// A request whose task has started.
#[derive(Clone, Copy)]
pub(crate) struct StartedRequest<'a> {
    pub(crate) request: &'a Request,
    /// The number of the request in the manager.
    pub(crate) number: u64,
    /// When the deadline begins to run. `None`: with the first admission.
    pub(crate) since: Option<Instant>,
    /// Where the items of a stream are sent, for [`RequestManager::stream`](super::RequestManager::stream).
    pub(crate) items: Option<&'a ItemSender>,
}

impl StartedRequest<'_> {
    /// The index in `rest` of the next route to take after this error. `None` also where an item was delivered: then
    /// the answer cannot start again.
    fn next_route(&self, rest: &[Route], error: &Error) -> Option<usize> {
        let delivered = self.items.is_some_and(ItemSender::has_delivered);
        rest.iter().position(|route| !delivered && route.takes(error))
    }
}

/// A request on one of its routes.
struct RouteStep<'a> {
    request: &'a Request,
    /// The number of the route. 0 is the request as it was given.
    route: usize,
    /// The routes after this one.
    rest: &'a [Route],
}

/// What a request keeps when it changes its route.
struct Progress<'a> {
    /// When the deadline began to run. `None`: it does not run yet.
    since: Option<Instant>,
    record: &'a mut Record,
    member: &'a mut BatchMember,
    emitter: &'a mut Option<Box<EventEmitter>>,
}

impl Inner {
    pub(super) fn new(
        accounts: Accounts,
        named: BTreeMap<String, Accounts>,
        settings: Settings,
        seed: u64,
        wall_clock: SystemTime,
    ) -> Self {
        let max_concurrent = max_concurrent(accounts.iter().chain(named.values().flatten()));
        Self {
            accounts,
            named,
            budget: Budget::new(settings.budget),
            reuse: Reuse::new(settings.coalesces, settings.cache.clone()),
            hedges: settings.hedging.map(Hedges::new),
            settings,
            seed,
            requests_started: AtomicU64::new(0),
            clock: WallClock::starting_at(wall_clock),
            lifecycle: Arc::default(),
            submit_limits: Keyed::new(move |_| {
                ConcurrencyLimiter::new(max_concurrent.saturating_mul(SUBMITTED_FACTOR))
            }),
            returned: Mutex::default(),
        }
    }

    /// `max_concurrent` of all endpoints together.
    pub(crate) fn max_concurrent(&self) -> usize {
        max_concurrent(self.accounts())
    }

    pub(crate) fn has_one_endpoint(&self) -> bool {
        self.named.is_empty() && self.accounts.len() == 1
    }

    pub(crate) fn equal_refusals(&self) -> Option<NonZeroU32> {
        self.settings.stop_after_equal_refusals
    }

    /// The events of a request. `None`: nobody listens.
    pub(crate) fn emitter(&self, number: u64, index: usize, request: &Request) -> Option<Box<EventEmitter>> {
        let provider = || {
            let accounts = self.accounts_of(request.options().endpoint.as_deref());
            accounts.map_or("", |accounts| accounts[0].provider.name())
        };
        EventEmitter::for_request(&self.settings.observers, number, index, request, provider)
    }

    /// Keeps a submitted request that was not sent. A shutdown returns it.
    pub(crate) fn give_back(&self, request: Request) {
        self.returned.lock().push(request);
    }

    /// The number of the next request.
    pub(crate) fn next_number(&self) -> u64 {
        self.requests_started.fetch_add(1, Ordering::Relaxed)
    }

    /// Runs one request until it has a reply or an error.
    pub(crate) async fn run(
        &self,
        job: StartedRequest<'_>,
        record: &mut Record,
        member: &mut BatchMember,
        emitter: &mut Option<Box<EventEmitter>>,
    ) -> Result<Reply, Error> {
        let request = job.request;
        let own = &request.options().fallbacks;
        let routes = if own.is_empty() { &self.settings.fallbacks } else { own };
        let mut progress = Progress { since: job.since, record, member, emitter };
        let step = RouteStep { request, route: 0, rest: routes };
        let result = self.run_on(step, &job, &mut progress).await;
        match result {
            Err(error) if !routes.is_empty() => {
                Box::pin(self.fall_back(error, routes, &job, &mut progress)).await
            }
            result => result,
        }
    }

    /// Tries the other routes of a request, one after the other.
    async fn fall_back(
        &self,
        mut error: Error,
        routes: &[Route],
        job: &StartedRequest<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<Reply, Error> {
        let mut route = 0;
        while let Some(skipped) = job.next_route(&routes[route..], &error) {
            let request = job.request.on_route(&routes[route + skipped]);
            route += skipped + 1;
            progress.record.start_route(route);
            let step = RouteStep { request: &request, route, rest: &routes[route..] };
            match self.run_on(step, job, progress).await {
                Ok(reply) => return Ok(reply),
                Err(next) => error = next,
            }
        }
        Err(error)
    }

    /// Runs a request on one route.
    async fn run_on(
        &self,
        step: RouteStep<'_>,
        job: &StartedRequest<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<Reply, Error> {
        let Progress { since, record, member, emitter } = progress;
        let RouteStep { request, route, rest } = step;
        let number = job.number;
        let settings = &self.settings;
        let accounts = match &request.options().endpoint {
            None => &self.accounts,
            Some(name) => self.named.get(name).ok_or_else(|| {
                Error::new(ErrorKind::Invalid, format!("there is no endpoint of the name {name:?}"))
            })?,
        };
        let prepare = |account: &Arc<Account>| {
            let key = || idempotency_key(self.seed, request.id.as_deref(), number, route);
            let prepared = Prepared::new(request, account, settings, job.items.is_some(), key)?;
            if self.budget.limit().is_some() && prepared.price_estimate.is_none() {
                return Err(no_price(prepared.facts.model.as_deref()));
            }
            let scope = Scope::of(account, prepared.facts.model.as_deref());
            Ok::<_, Error>(Destination { scope, prepared })
        };
        let (only, several);
        let destinations = match &accounts[..] {
            [account] => {
                only = prepare(account)?;
                std::slice::from_ref(&only)
            }
            accounts => {
                several = accounts.iter().map(prepare).collect::<Result<Vec<_>, _>>()?;
                &several[..]
            }
        };
        if let Some(emitter) = emitter {
            emitter.start_route(route, request, &destinations[0]);
        }
        let emitter = emitter.as_deref();
        let run = Run {
            attempt: Wire { clock: &self.clock, emitter, items: job.items },
            admission: Admission {
                destinations,
                history: EndpointHistory::default(),
                class: job.request.queue_class(),
                position: None,
                budget: &self.budget,
                lifecycle: &self.lifecycle,
                member,
                limit: job.request.options().deadline.unwrap_or(settings.deadline),
                since,
                patience: rest.first().map(Route::patience),
                emitter,
            },
            rules: Rules {
                max_attempts: request.options().max_attempts.unwrap_or(settings.max_attempts),
                retry_ambiguous: settings.retry_ambiguous,
            },
            hedges: self.hedges.as_ref(),
            log: settings.send_log.as_deref().map(|log| RequestLog::new(log, request.id.as_deref(), number)),
            number,
            draw: mix(self.seed, number),
            items: job.items,
        };
        match self.reuse.as_ref().filter(|_| request.may_share_an_answer()) {
            None => run.run(record).await,
            Some(reuse) => Box::pin(reuse.answer(request, run, &self.clock, record)).await,
        }
    }

    /// Wakes all waiting requests, so that they check again whether they may be sent.
    pub(crate) fn notify(&self) {
        self.accounts().for_each(|account| account.notify().notify_waiters());
    }

    fn accepts_requests(&self) -> bool {
        self.lifecycle.is_open() && !self.lifecycle.is_intake_closed()
    }

    /// Waits until another submitted request of this tenant may be accepted. `None`: the manager accepts no requests
    /// any more.
    pub(super) async fn submit_permit(&self, tenant: Option<&str>) -> Option<OwnedPermit> {
        let mut permit = pin!(self.submit_limits.get(tenant.map(str::to_owned)).acquire_owned());
        loop {
            // Registered before the check, so that a change between the check and the wait is not missed.
            let changed = pin!(self.accounts[0].changed());
            if !self.accepts_requests() {
                return None;
            }
            if let Either::Left((permit, _)) = select(permit.as_mut(), changed).await
                && self.accepts_requests()
            {
                return Some(permit);
            }
        }
    }

    /// The accounts behind a name. `None` stands for the manager's own endpoint.
    pub(super) fn accounts_of(&self, endpoint: Option<&str>) -> Option<&Accounts> {
        endpoint.map_or(Some(&self.accounts), |name| self.named.get(name))
    }

    /// All accounts, each with the name of its endpoint. The manager's own endpoint has no name and comes first.
    pub(super) fn named_accounts(&self) -> impl Iterator<Item = (Option<&str>, &Arc<Account>)> {
        let own = self.accounts.iter().map(|account| (None, account));
        let named = self.named.iter();
        own.chain(
            named.flat_map(|(name, accounts)| {
                accounts.iter().map(move |account| (Some(name.as_str()), account))
            }),
        )
    }

    /// Accepts no requests any more, and sends nothing more.
    pub(super) fn close(&self) {
        self.lifecycle.close();
        // Wakes all waiting requests, so that they see it.
        self.accounts().for_each(|account| account.close());
    }

    pub(super) fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.named_accounts().map(|(_, account)| account)
    }
}

fn max_concurrent<'a>(accounts: impl Iterator<Item = &'a Arc<Account>>) -> usize {
    accounts.map(|account| account.concurrency_ceiling()).fold(0, usize::saturating_add)
}

/// The error of a request that has no price while there is a budget.
fn no_price(model: Option<&str>) -> Error {
    let what = match model {
        Some(model) => format!("the model {model:?} has no price"),
        None => String::from("the request names no model"),
    };
    Error::new(ErrorKind::Invalid, format!("there is a budget, and {what}: give the manager prices for all"))
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
        self.0.close();
        self.0.lifecycle.abort();
        self.0.accounts().for_each(|account| account.end_sharing());
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}
