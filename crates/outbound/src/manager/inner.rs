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
    admission::{Admission, Choice},
    attempt::Prepared,
    destination::Destination,
    error::{Error, ErrorKind},
    item::ItemSender,
    judge::Rules,
    key::{idempotency_key, mix},
    lifecycle::Lifecycle,
    money::Budget,
    record::Record,
    reply::Reply,
    request::Request,
    reuse::Reuse,
    route::Route,
    run::{Hedges, Run},
    scope::{Account, Scope},
    send_log::Log,
    settings::Settings,
    shared::Seat,
    telling::Telling,
    wall_clock::WallClock,
    wire::Wire,
};

/// So many times `max_concurrent` submitted requests may be without an outcome.
const SUBMITTED: usize = 8;

/// What all handles share, and all that runs for them.
pub(crate) struct Inner {
    accounts: Accounts,
    others: BTreeMap<String, Accounts>,
    settings: Settings,
    /// How calls are saved, if they are.
    reuse: Option<Reuse>,
    hedges: Option<Hedges>,
    seed: u64,
    /// Requests so far: where the draws of each come from, with `seed`.
    begun: AtomicU64,
    clock: WallClock,
    pub(super) budget: Budget,
    pub(crate) lifecycle: Arc<Lifecycle>,
    /// How many submitted requests of each tenant there may be that have no outcome.
    pub(super) rooms: Keyed<Option<String>, ConcurrencyLimiter>,
    /// Submitted requests that a shutdown kept from being sent, until a shutdown gives them back.
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
pub(crate) struct Started<'a> {
    pub(crate) request: &'a Request,
    /// Which request of the manager it is.
    pub(crate) number: u64,
    /// When its deadline begins to run. `None`: with its first admission.
    pub(crate) since: Option<Instant>,
    /// Where the items of a stream go that is handed on as it comes.
    pub(crate) items: Option<&'a ItemSender>,
}

impl Started<'_> {
    /// Which of the routes that are left is taken after this error. None is once a part of the reply was handed on.
    fn next_route(&self, rest: &[Route], error: &Error) -> Option<usize> {
        let begun = self.items.is_some_and(ItemSender::has_begun);
        rest.iter().position(|route| !begun && route.takes(error))
    }
}

/// One route of a request.
struct Way<'a> {
    request: &'a Request,
    /// Which one it is: 0 is the request as it was given.
    route: usize,
    /// Those after it.
    rest: &'a [Route],
}

/// What a request has on all its routes.
struct Kept<'a> {
    /// Since when its deadline runs. `None`: not yet.
    since: Option<Instant>,
    record: &'a mut Record,
    seat: &'a mut Seat,
    telling: &'a mut Option<Box<Telling>>,
}

impl Inner {
    pub(super) fn new(
        accounts: Accounts,
        others: BTreeMap<String, Accounts>,
        settings: Settings,
        seed: u64,
        wall_clock: SystemTime,
    ) -> Self {
        let width = width(accounts.iter().chain(others.values().flatten()));
        Self {
            accounts,
            others,
            budget: Budget::new(settings.budget),
            reuse: Reuse::new(settings.coalesces, settings.cache.clone()),
            hedges: settings.hedging.map(Hedges::new),
            settings,
            seed,
            begun: AtomicU64::new(0),
            clock: WallClock::starting_at(wall_clock),
            lifecycle: Arc::default(),
            rooms: Keyed::new(move |_| ConcurrencyLimiter::new(width.saturating_mul(SUBMITTED))),
            returned: Mutex::default(),
        }
    }

    /// `max_concurrent`, of all endpoints together.
    pub(crate) fn width(&self) -> usize {
        width(self.accounts())
    }

    pub(crate) fn has_one_endpoint(&self) -> bool {
        self.others.is_empty() && self.accounts.len() == 1
    }

    pub(crate) fn equal_refusals(&self) -> Option<NonZeroU32> {
        self.settings.stop_after_equal_refusals
    }

    /// A request as those will know it who look on, if somebody does.
    pub(crate) fn telling(&self, number: u64, index: usize, request: &Request) -> Option<Box<Telling>> {
        let provider = || {
            let accounts = self.accounts_of(request.options().endpoint.as_deref());
            accounts.map_or("", |accounts| accounts[0].provider.name())
        };
        Telling::of(&self.settings.observers, number, index, request, provider)
    }

    /// A submitted request that was not sent: a shutdown gives it back.
    pub(crate) fn give_back(&self, request: Request) {
        self.returned.lock().push(request);
    }

    /// The number of the next request.
    pub(crate) fn next_number(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::Relaxed)
    }

    /// One request, to its reply or its error.
    pub(crate) async fn run(
        &self,
        job: Started<'_>,
        record: &mut Record,
        seat: &mut Seat,
        telling: &mut Option<Box<Telling>>,
    ) -> Result<Reply, Error> {
        let request = job.request;
        let own = &request.options().fallbacks;
        let routes = if own.is_empty() { &self.settings.fallbacks } else { own };
        let mut kept = Kept { since: job.since, record, seat, telling };
        let way = Way { request, route: 0, rest: routes };
        let result = self.run_on(way, &job, &mut kept).await;
        match result {
            Err(error) if !routes.is_empty() => {
                Box::pin(self.fall_back(error, routes, &job, &mut kept)).await
            }
            result => result,
        }
    }

    /// The other routes of a request, one after the other.
    async fn fall_back(
        &self,
        mut error: Error,
        routes: &[Route],
        job: &Started<'_>,
        kept: &mut Kept<'_>,
    ) -> Result<Reply, Error> {
        let mut route = 0;
        while let Some(skipped) = job.next_route(&routes[route..], &error) {
            let request = routes[route + skipped].apply(job.request);
            route += skipped + 1;
            kept.record.takes_another_route(route);
            let way = Way { request: &request, route, rest: &routes[route..] };
            match self.run_on(way, job, kept).await {
                Ok(reply) => return Ok(reply),
                Err(next) => error = next,
            }
        }
        Err(error)
    }

    /// A request on one of its routes.
    async fn run_on(&self, way: Way<'_>, job: &Started<'_>, kept: &mut Kept<'_>) -> Result<Reply, Error> {
        let Kept { since, record, seat, telling } = kept;
        let Way { request, route, rest } = way;
        let number = job.number;
        let settings = &self.settings;
        let accounts = match &request.options().endpoint {
            None => &self.accounts,
            Some(name) => self.others.get(name).ok_or_else(|| {
                Error::new(ErrorKind::Invalid, format!("there is no endpoint of the name {name:?}"))
            })?,
        };
        let prepare = |account: &Arc<Account>| {
            let key = || idempotency_key(self.seed, request.id.as_deref(), number, route);
            let prepared = Prepared::new(request, account, settings, job.items.is_some(), key)?;
            if self.budget.limit().is_some() && prepared.quote.is_none() {
                return Err(unpriced(prepared.facts.model.as_deref()));
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
        if let Some(telling) = telling {
            telling.takes_route(route, request, &destinations[0]);
        }
        let observed = telling.as_deref();
        let run = Run {
            attempt: Wire { clock: &self.clock, observed, items: job.items },
            admission: Admission {
                destinations,
                choice: Choice::default(),
                order: job.request.order(),
                standing: None,
                budget: &self.budget,
                lifecycle: &self.lifecycle,
                seat,
                limit: job.request.options().deadline.unwrap_or(settings.deadline),
                since,
                patience: rest.first().map(Route::patience),
                observed,
            },
            rules: Rules {
                max_attempts: request.options().max_attempts.unwrap_or(settings.max_attempts),
                retry_ambiguous: settings.retry_ambiguous,
            },
            hedges: self.hedges.as_ref(),
            log: settings.send_log.as_deref().map(|log| Log::new(log, request.id.as_deref(), number)),
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

    fn takes_in(&self) -> bool {
        self.lifecycle.is_open() && !self.lifecycle.is_full()
    }

    /// Waits until another submitted request of this tenant may come in. `None`: the doors are closed.
    pub(super) async fn room(&self, tenant: Option<&str>) -> Option<OwnedPermit> {
        let mut room = pin!(self.rooms.get(tenant.map(str::to_owned)).acquire_owned());
        loop {
            // Made before it is asked, so that no change is missed.
            let changed = pin!(self.accounts[0].changed());
            if !self.takes_in() {
                return None;
            }
            if let Either::Left((room, _)) = select(room.as_mut(), changed).await
                && self.takes_in()
            {
                return Some(room);
            }
        }
    }

    /// The accounts behind a name; `None` is the manager's own.
    pub(super) fn accounts_of(&self, endpoint: Option<&str>) -> Option<&Accounts> {
        endpoint.map_or(Some(&self.accounts), |name| self.others.get(name))
    }

    /// The names of all further endpoints, and the accounts behind all.
    pub(super) fn named_accounts(&self) -> impl Iterator<Item = (Option<&str>, &Arc<Account>)> {
        let own = self.accounts.iter().map(|account| (None, account));
        let others = self.others.iter();
        own.chain(
            others.flat_map(|(name, accounts)| {
                accounts.iter().map(move |account| (Some(name.as_str()), account))
            }),
        )
    }

    /// Lets nobody in and sends nothing more.
    pub(super) fn drain(&self) {
        self.lifecycle.drain();
        // Whoever waits, for room as well, finds the doors closed.
        self.accounts().for_each(|account| account.close());
    }

    pub(super) fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.named_accounts().map(|(_, account)| account)
    }
}

fn width<'a>(accounts: impl Iterator<Item = &'a Arc<Account>>) -> usize {
    accounts.map(|account| account.most_concurrent()).fold(0, usize::saturating_add)
}

/// What has no price cannot be held within a budget.
fn unpriced(model: Option<&str>) -> Error {
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
        self.0.drain();
        self.0.lifecycle.abort();
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}
