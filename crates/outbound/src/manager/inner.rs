//! What all handles of a manager share, and all that runs for them.

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

/// So many times `max_concurrent` submitted requests may be without an outcome.
const SUBMITTED_FACTOR: usize = 8;

/// What all handles share, and all that runs for them.
pub(crate) struct Inner {
    accounts: Accounts,
    named: BTreeMap<String, Accounts>,
    settings: Settings,
    /// How calls are saved, if they are.
    reuse: Option<Reuse>,
    hedges: Option<Hedges>,
    seed: u64,
    /// Requests so far: where the draws of each come from, with `seed`.
    requests_started: AtomicU64,
    clock: WallClock,
    pub(super) budget: Budget,
    pub(crate) lifecycle: Arc<Lifecycle>,
    /// How many submitted requests of each tenant there may be that have no outcome.
    pub(super) submit_limits: Keyed<Option<String>, ConcurrencyLimiter>,
    /// Submitted requests that a shutdown progress from being sent, until a shutdown gives them back.
    pub(super) returned: Mutex<Vec<Request>>,
}

/// The accounts behind one name: at least one.
pub(crate) type Accounts = Vec<Arc<Account>>;

/// One handle. When the last one is dropped, what runs is cut off; a task of a request is none.
#[derive(Clone)]
pub(crate) struct Handle(Arc<AbortOnDrop>);

/// Cuts everything off when it is dropped.
pub(crate) struct AbortOnDrop(pub(super) Arc<Inner>);

/// A request that a task has begun with.
#[derive(Clone, Copy)]
pub(crate) struct StartedRequest<'a> {
    pub(crate) request: &'a Request,
    /// Which request of the manager it is.
    pub(crate) number: u64,
    /// When its deadline begins to run. `None`: with its first admission.
    pub(crate) since: Option<Instant>,
    /// Where the items of a stream go that is handed on as it comes.
    pub(crate) items: Option<&'a ItemSender>,
}

impl StartedRequest<'_> {
    /// Which of the routes that are left is taken after this error. None is once a part of the reply was handed on.
    fn next_route(&self, rest: &[Route], error: &Error) -> Option<usize> {
        let begun = self.items.is_some_and(ItemSender::has_delivered);
        rest.iter().position(|route| !begun && route.takes(error))
    }
}

/// One route of a request.
struct RouteStep<'a> {
    request: &'a Request,
    /// Which one it is: 0 is the request as it was given.
    route: usize,
    /// Those after it.
    rest: &'a [Route],
}

/// What a request has on all its routes.
struct Progress<'a> {
    /// Since when its deadline runs. `None`: not yet.
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

    /// `max_concurrent`, of all endpoints together.
    pub(crate) fn max_concurrent(&self) -> usize {
        max_concurrent(self.accounts())
    }

    pub(crate) fn has_one_endpoint(&self) -> bool {
        self.named.is_empty() && self.accounts.len() == 1
    }

    pub(crate) fn equal_refusals(&self) -> Option<NonZeroU32> {
        self.settings.stop_after_equal_refusals
    }

    /// A request as those will know it who look on, if somebody does.
    pub(crate) fn emitter(&self, number: u64, index: usize, request: &Request) -> Option<Box<EventEmitter>> {
        let provider = || {
            let accounts = self.accounts_of(request.options().endpoint.as_deref());
            accounts.map_or("", |accounts| accounts[0].provider.name())
        };
        EventEmitter::for_request(&self.settings.observers, number, index, request, provider)
    }

    /// A submitted request that was not sent: a shutdown gives it back.
    pub(crate) fn give_back(&self, request: Request) {
        self.returned.lock().push(request);
    }

    /// The number of the next request.
    pub(crate) fn next_number(&self) -> u64 {
        self.requests_started.fetch_add(1, Ordering::Relaxed)
    }

    /// One request, to its reply or its error.
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

    /// The other routes of a request, one after the other.
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

    /// A request on one of its routes.
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

    /// Wakes all who wait, so that they ask again whether they may go.
    pub(crate) fn notify(&self) {
        self.accounts().for_each(|account| account.notify().notify_waiters());
    }

    fn accepts_requests(&self) -> bool {
        self.lifecycle.is_open() && !self.lifecycle.is_intake_closed()
    }

    /// Waits until another submitted request of this tenant may come in. `None`: the doors are closed.
    pub(super) async fn submit_permit(&self, tenant: Option<&str>) -> Option<OwnedPermit> {
        let mut permit = pin!(self.submit_limits.get(tenant.map(str::to_owned)).acquire_owned());
        loop {
            // Made before it is asked, so that no change is missed.
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

    /// The accounts behind a name; `None` is the manager's own.
    pub(super) fn accounts_of(&self, endpoint: Option<&str>) -> Option<&Accounts> {
        endpoint.map_or(Some(&self.accounts), |name| self.named.get(name))
    }

    /// The names of all further endpoints, and the accounts behind all.
    pub(super) fn named_accounts(&self) -> impl Iterator<Item = (Option<&str>, &Arc<Account>)> {
        let own = self.accounts.iter().map(|account| (None, account));
        let named = self.named.iter();
        own.chain(
            named.flat_map(|(name, accounts)| {
                accounts.iter().map(move |account| (Some(name.as_str()), account))
            }),
        )
    }

    /// Lets nobody in and sends nothing more.
    pub(super) fn close(&self) {
        self.lifecycle.close();
        // Whoever waits, for permit as well, finds the doors closed.
        self.accounts().for_each(|account| account.close());
    }

    pub(super) fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.named_accounts().map(|(_, account)| account)
    }
}

fn max_concurrent<'a>(accounts: impl Iterator<Item = &'a Arc<Account>>) -> usize {
    accounts.map(|account| account.concurrency_ceiling()).fold(0, usize::saturating_add)
}

/// What has no price cannot be held within a budget.
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
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}
