//! Admission: a request waits here until it may be sent. The scope says whether it may be sent at all, the limits say
//! when. A waiting request holds no permit and no connection.

use std::{pin::pin, time::Duration};

use futures::future::{Either, select};
use http::StatusCode;
use outbound_client::Delivery;
use outbound_limiter::{Bottleneck, Charge, QuotaError};
use outbound_provider::Usage;
use tokio::time::{Instant, sleep_until};

use super::{
    batch_state::{BatchMember, Stage},
    destination::Destination,
    emitter::EventEmitter,
    error::{Error, ErrorKind},
    lifecycle::Lifecycle,
    money::{Budget, BudgetReservation},
    observe::{Step, Waiting},
    record::Record,
    scope::{QueueClass, QueuePosition, Scope, ScopeDecision, ScopePermit, Stopped},
};

mod balance;
mod coalesce;
mod fair_queue;
mod hedge;
mod limits;
mod preconditions;

pub(crate) use self::balance::{EndpointHistory, MAX_ENDPOINTS_PER_NAME};

/// How long a retry waits for a success to refill the retry budget. After that time it is sent although the budget is
/// empty: a server that fails one call in five goes on doing so, however long a retry waits.
const DEPOSIT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a waiting retry checks the retry budget.
const DEPOSIT_POLL: Duration = Duration::from_millis(100);

/// The longest wait, where a limit is beyond the range of the clock.
const CENTURY: Duration = Duration::from_secs(3_155_760_000);

/// One request that waits to be sent.
pub(crate) struct Admission<'a> {
    /// Where the request may be sent: one destination or several.
    pub(crate) destinations: &'a [Destination<'a>],
    /// Where the request has failed before. Used where there are several destinations.
    pub(crate) history: EndpointHistory,
    /// The class of the request in the fair queue. `position` is set once the request has joined the queue.
    pub(crate) class: QueueClass<'a>,
    pub(crate) position: Option<QueuePosition>,
    pub(crate) budget: &'a Budget,
    pub(crate) lifecycle: &'a Lifecycle,
    pub(crate) member: &'a mut BatchMember,
    /// How long the request may take in all.
    pub(crate) limit: Duration,
    /// When `limit` begins to run. `None`: with the first admission.
    pub(crate) since: &'a mut Option<Instant>,
    /// How long the request still waits while its route is refused or fails. Another route is tried after that. `None`:
    /// there is no other route, so it waits until its deadline.
    pub(crate) patience: Option<Duration>,
    pub(crate) emitter: Option<&'a EventEmitter>,
}

/// A request that may be sent now.
pub(crate) struct Admitted<'a> {
    pub(crate) destination: &'a Destination<'a>,
    pub(crate) permit: ScopePermit<'a>,
    pub(crate) charge: Charge,
    /// The share of the budget that this call holds, where its model has a price.
    pub(crate) budget_reservation: Option<BudgetReservation<'a>>,
}

impl<'a> Admission<'a> {
    /// When the request has to be done. A century from now while `limit` does not run yet.
    pub(crate) fn deadline(&self) -> Instant {
        let since = self.since.unwrap_or_else(Instant::now);
        let limit = if self.since.is_some() { self.limit } else { CENTURY };
        since.checked_add(limit).unwrap_or_else(|| since + CENTURY)
    }

    pub(crate) fn emit(&self, step: Step<'_>) {
        if let Some(emitter) = &self.emitter {
            emitter.emit(step);
        }
    }

    /// Tells observers that an attempt has ended.
    pub(crate) fn attempt_ended(
        &self,
        attempt: u32,
        sent_at: Instant,
        (delivery, status): (Delivery, Option<StatusCode>),
        failure: Option<ErrorKind>,
        message: &str,
        usage: Option<Usage>,
    ) {
        if let Some(emitter) = &self.emitter {
            let took = sent_at.elapsed();
            emitter.emit(Step::AttemptEnded { attempt, took, delivery, status, failure, message, usage });
        }
    }

    /// Waits until the request may be sent: its scope is open, and there is room in every limit at once.
    pub(crate) async fn admit(&mut self, record: &mut Record) -> Result<Admitted<'a>, Error> {
        for Destination { scope, .. } in self.destinations {
            if scope.model.queue.enable(self.class) {
                scope.account.notify().notify_waiters();
            }
        }
        match self.destinations {
            [only] => self.admit_to(only, record).await,
            _ => Box::pin(self.admit_to_any(record)).await,
        }
    }

    async fn admit_to(
        &mut self,
        destination: &'a Destination<'a>,
        record: &mut Record,
    ) -> Result<Admitted<'a>, Error> {
        let scope = &destination.scope;
        let mut funds = None;
        loop {
            // Registered before the checks, so that a change between a check and the wait is not missed.
            let changed = scope.account.changed();
            let now = Instant::now();
            self.check(now, record)?;
            if self.has_preconditions() && self.wait_for_preconditions(&mut funds, record).await? {
                continue;
            }
            match scope.admit(now) {
                ScopeDecision::Go(permit) => {
                    let reserved = if permit.is_probe_or_witness() {
                        // Other requests wait for this probe or witness. So only a stop makes it give up its
                        // reservation.
                        self.reserve(destination, self.stopped_or_closed(scope), record).await?
                    } else {
                        self.reserve(destination, changed, record).await?
                    };
                    let Some(charge) = reserved else { continue };
                    if let Some(admitted) = self.admitted(destination, permit, charge, funds.take()) {
                        return Ok(admitted);
                    }
                }
                ScopeDecision::Wait(reason, until) => {
                    // Others may be able to go.
                    funds = None;
                    let until = until.min(self.deadline());
                    self.wait_for(reason, until, scope.down_for(now), changed, record).await?;
                }
                ScopeDecision::Stopped(why) => return Err(self.scope_stopped(scope, &why, record)),
            }
        }
    }

    fn admitted(
        &mut self,
        destination: &'a Destination<'a>,
        permit: ScopePermit<'a>,
        charge: Charge,
        funds: Option<BudgetReservation<'a>>,
    ) -> Option<Admitted<'a>> {
        let admitted = self.with_budget(destination, permit, charge, funds)?;
        self.since.get_or_insert_with(Instant::now);
        self.member.move_to(Stage::InFlight);
        self.emit(Step::Admitted);
        Some(admitted)
    }

    /// Adds the reservation in the budget, where the model has a price. `funds` is what the request has reserved already.
    /// `None`: the budget has no room for it.
    fn with_budget(
        &self,
        destination: &'a Destination<'a>,
        permit: ScopePermit<'a>,
        charge: Charge,
        funds: Option<BudgetReservation<'a>>,
    ) -> Option<Admitted<'a>> {
        let budget_reservation = match destination.prepared.price_estimate {
            Some(estimate) => {
                match funds.map_or_else(|| self.budget.take(estimate), |it| it.narrow(estimate)) {
                    Some(reservation) => Some(reservation),
                    None => {
                        charge.refund();
                        return None;
                    }
                }
            }
            None => None,
        };
        Some(Admitted { destination, permit, charge, budget_reservation })
    }

    /// Waits until `until`, or until something changes. `lasted` says how long the reason has existed already. Returns
    /// an error at once if `lasted` or the wait is longer than the patience of the request.
    async fn wait_for(
        &mut self,
        reason: Waiting,
        until: Instant,
        lasted: Duration,
        changed: impl Future<Output = ()>,
        record: &mut Record,
    ) -> Result<(), Error> {
        let began = Instant::now();
        let wait = until.saturating_duration_since(began);
        if !self.has_patience_for(wait.max(lasted)) {
            return Err(would_wait(reason, record));
        }
        self.emit(Step::Waiting { reason, at_least: Some(wait) });
        self.wait_blocked(until, changed).await;
        self.count_wait(began.elapsed(), record);
        Ok(())
    }

    /// Waits until `until`, or until something changes. The request counts as blocked, so its batch takes further
    /// requests.
    async fn wait_blocked(&mut self, until: Instant, changed: impl Future<Output = ()>) {
        self.member.move_to(Stage::Blocked);
        select(pin!(sleep_until(until)), pin!(changed)).await;
    }

    /// Whether the request waits this long for a route that is refused or fails.
    pub(crate) fn has_patience_for(&self, wait: Duration) -> bool {
        self.patience.is_none_or(|patience| wait <= patience)
    }

    fn count_wait(&mut self, waited: Duration, record: &mut Record) {
        record.waited += waited;
        if let Some(patience) = &mut self.patience {
            *patience = patience.saturating_sub(waited);
        }
    }

    /// An error if the manager or the batch sends nothing more, or if the deadline has passed.
    fn check(&self, now: Instant, record: &Record) -> Result<(), Error> {
        self.check_open(record)?;
        if now < self.deadline() { Ok(()) } else { Err(self.past_deadline(record)) }
    }

    /// An error if the manager or the batch sends nothing more.
    fn check_open(&self, record: &Record) -> Result<(), Error> {
        if !self.lifecycle.is_open() {
            return Err(shut_down(record));
        }
        match self.member.stopped() {
            Some(why) => Err(stopped(&why.message, record)),
            None => Ok(()),
        }
    }

    fn scope_stopped(&self, scope: &Scope, why: &Stopped, record: &Record) -> Error {
        let whole_account = scope.account.stopped(Instant::now()).is_some();
        // With patience there is another route, so the stop does not end the request.
        if self.patience.is_none() {
            self.member.scope_stopped(why, whole_account);
        }
        stopped(&why.message, record)
    }

    /// Stops the whole batch, for all its destinations.
    pub(crate) fn stop_all(&self, why: &str, record: &Record) -> Error {
        self.member.stop(Stopped { kind: ErrorKind::Stopped, message: why.to_owned(), until: None });
        for Destination { scope, .. } in self.destinations {
            scope.account.notify().notify_waiters();
        }
        stopped(why, record)
    }

    /// Returns when the scope, the batch or the manager is stopped.
    fn stopped_or_closed(&self, scope: &'a Scope) -> impl Future<Output = ()> + use<'a> {
        let (lifecycle, batch) = (self.lifecycle, self.member.batch());
        async move {
            loop {
                let changed = scope.account.changed();
                let batch_is_stopped = batch.as_ref().is_some_and(|batch| batch.batch_stop().is_some());
                if batch_is_stopped || !lifecycle.is_open() || scope.stopped(Instant::now()).is_some() {
                    return;
                }
                changed.await;
            }
        }
    }

    /// Waits between two attempts, and then for the retry budget where the next attempt is an extra call. Ends early
    /// when a stop or a shutdown makes the wait useless.
    pub(crate) async fn back_off(
        &mut self,
        from: &Destination<'_>,
        wait: Duration,
        extra: bool,
        record: &mut Record,
    ) -> Result<(), Error> {
        let began = Instant::now();
        self.member.move_to(Stage::Blocked);
        if !wait.is_zero() {
            self.emit(Step::Waiting { reason: Waiting::Backoff, at_least: Some(wait) });
            self.sleep_until(from, began + wait, record).await?;
        }
        if extra && !try_pay(&from.scope) {
            self.emit(Step::Waiting { reason: Waiting::Budget, at_least: None });
            let unpaid = (began + wait + DEPOSIT_TIMEOUT).min(self.deadline());
            while Instant::now() < unpaid && !try_pay(&from.scope) {
                self.sleep_until(from, Instant::now() + DEPOSIT_POLL, record).await?;
            }
        }
        self.count_wait(began.elapsed(), record);
        Ok(())
    }

    async fn sleep_until(
        &mut self,
        from: &Destination<'_>,
        until: Instant,
        record: &Record,
    ) -> Result<(), Error> {
        let until = until.min(self.deadline());
        let mut slept = pin!(sleep_until(until));
        loop {
            let changed = from.scope.account.changed();
            self.check_open(record)?;
            // With several destinations another one may still take the request.
            if let [only] = self.destinations
                && let Some(why) = only.scope.stopped(Instant::now())
            {
                return Err(self.scope_stopped(&only.scope, &why, record));
            }
            if let Either::Left(_) = select(slept.as_mut(), pin!(changed)).await {
                return Ok(());
            }
        }
    }

    pub(crate) fn past_deadline(&self, record: &Record) -> Error {
        let last = record.last("; last: ");
        let sends = match record.sends() {
            1 => String::from("1 send"),
            sends => format!("{sends} sends"),
        };
        let message = format!("the deadline of {:?} passed, after {sends}{last}", self.limit);
        Error::new(ErrorKind::Deadline, message)
    }
}

/// Takes an extra call from the retry budget. In an outage the pauses between probes limit the extra calls instead.
fn try_pay(scope: &Scope) -> bool {
    scope.model.is_down() || scope.account.pay_for_retry()
}

/// The error of a request that takes another route instead of waiting.
fn would_wait(reason: Waiting, record: &Record) -> Error {
    let kind = match reason {
        Waiting::Refused => ErrorKind::RateLimited,
        Waiting::Account => ErrorKind::Auth,
        _ => ErrorKind::Connection,
    };
    Error::new(kind, format!("the request would have to wait for {reason}{}", record.last("; last: ")))
}

/// The error of a request that was not sent, or not sent again, because of a shutdown.
fn shut_down(record: &Record) -> Error {
    let last = record.last(" again; last: ");
    Error::new(ErrorKind::ShutDown, format!("the manager was shut down before it was sent{last}"))
}

/// The error of a request that was not sent, or not sent again, because of a stop.
fn stopped(why: &str, record: &Record) -> Error {
    let last = record.last("; its own last failure: ");
    Error::new(ErrorKind::Stopped, format!("nothing more is sent: {why}{last}"))
}

#[cfg(test)]
mod tests;
