//! What those who look on are told of one request.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use outbound_client::Delivery;
use parking_lot::Mutex;
use tokio::time::Instant;

use self::trace::Trace;
use super::{
    destination::Destination,
    error::ErrorKind,
    observe::{Event, Observer, Operation, Step, Waiting},
    record::Record,
    request::Request,
    scope::Account,
};

mod trace;

/// An observer at work, until it panics.
pub(crate) struct GuardedObserver {
    observer: Box<dyn Observer>,
    panicked: AtomicBool,
}

impl GuardedObserver {
    pub(crate) fn new(observer: impl Observer) -> Self {
        Self { observer: Box::new(observer), panicked: AtomicBool::new(false) }
    }

    fn guarded(&self, tell: impl FnOnce(&dyn Observer)) {
        if self.panicked.load(Ordering::Relaxed) {
            return;
        }
        if catch_unwind(AssertUnwindSafe(|| tell(&*self.observer))).is_err() {
            self.panicked.store(true, Ordering::Relaxed);
            tracing::error!("the observer has panicked, and is not called again");
        }
    }
}

/// A request as those know it who look on: the observers, and `tracing`. There is none where nobody does.
pub(crate) struct Telling {
    observers: Arc<[GuardedObserver]>,
    number: u64,
    id: Option<String>,
    index: usize,
    /// What follows is as the route has it that the request is on.
    endpoint: Option<String>,
    provider: &'static str,
    operation: Operation,
    model: Option<String>,
    streams: bool,
    /// Whether its first step was told.
    queued: bool,
    state: Mutex<State>,
}

struct State {
    /// What it waits for, and since when.
    waiting: Option<(Waiting, Instant)>,
    /// Where it was sent last on its route.
    sent_to: Option<Arc<Account>>,
    trace: Option<Trace>,
}

impl Telling {
    /// Of a request that is taken in. Called where the request comes from.
    pub(crate) fn of(
        observers: &Arc<[GuardedObserver]>,
        number: u64,
        index: usize,
        request: &Request,
        provider: impl FnOnce() -> &'static str,
    ) -> Option<Box<Self>> {
        let trace = Trace::new();
        if observers.is_empty() && trace.is_none() {
            return None;
        }
        observers.iter().for_each(|observer| observer.guarded(|observer| observer.taken_in(number)));
        Some(Box::new(Self {
            observers: Arc::clone(observers),
            number,
            id: request.id.clone(),
            index,
            endpoint: request.options().endpoint.clone(),
            provider: provider(),
            operation: Operation::Other,
            model: request.options().model.clone(),
            streams: false,
            queued: false,
            state: Mutex::new(State { waiting: None, sent_to: None, trace }),
        }))
    }

    /// The request was made ready for a route, of which this is the first destination.
    pub(crate) fn takes_route(&mut self, route: usize, request: &Request, to: &Destination<'_>) {
        if route > 0 {
            self.queue();
            self.end_wait();
        }
        let Destination { scope, prepared } = to;
        let facts = &prepared.facts;
        self.endpoint.clone_from(&request.options().endpoint);
        self.provider = scope.account.provider.name();
        self.operation = Operation::of(&prepared.path, facts.chat);
        self.model.clone_from(&facts.model);
        self.streams = facts.stream;
        self.state.get_mut().sent_to = None;
        if route == 0 { self.queue() } else { self.tell(Step::Rerouted { route }) }
    }

    /// Tells its first step, unless that was told.
    fn queue(&mut self) {
        if !std::mem::replace(&mut self.queued, true) {
            self.tell(Step::Queued);
        }
    }

    pub(crate) fn tell(&self, step: Step<'_>) {
        self.end_wait();
        let mut state = self.state.lock();
        if let Step::Waiting { reason, .. } = step {
            state.waiting = Some((reason, Instant::now()));
        }
        let sent_to = state.sent_to.clone();
        drop(state);
        let sent_to = sent_to.as_deref();
        let event = Event {
            number: self.number,
            id: self.id.as_deref(),
            index: self.index,
            endpoint: self.endpoint.as_deref(),
            provider: sent_to.map_or(self.provider, |account| account.provider.name()),
            server: sent_to.and_then(|account| account.origin.as_ref()),
            operation: self.operation,
            model: self.model.as_deref(),
            streams: self.streams,
            step,
        };
        let mut state = self.state.lock();
        if let Some(trace) = &mut state.trace
            && catch_unwind(AssertUnwindSafe(|| trace.tell(&event))).is_err()
        {
            // No log: it is who hears the logs that has panicked.
            state.trace = None;
        }
        drop(state);
        self.observers.iter().for_each(|observer| observer.guarded(|observer| observer.event(&event)));
    }

    /// Tells how long it has waited, if it has.
    fn end_wait(&self) {
        let waited = self.state.lock().waiting.take();
        if let Some((reason, began)) = waited {
            self.tell(Step::Waited { reason, took: began.elapsed() });
        }
    }

    /// An attempt begins.
    pub(crate) fn sent(&self, account: &Arc<Account>, attempt: u32) {
        self.state.lock().sent_to = Some(Arc::clone(account));
        self.tell(Step::Sent { attempt });
    }

    /// The request has ended, and with it what was under way of it.
    pub(crate) fn ended(mut self, record: &Record, failure: Option<ErrorKind>) {
        self.queue();
        for (began, attempt) in record.under_way() {
            let took = began.elapsed();
            self.tell(Step::AttemptEnded {
                attempt,
                took,
                delivery: Delivery::MaybeSent,
                status: None,
                failure,
                message: "",
                usage: None,
            });
        }
        self.tell(Step::Ended {
            failure,
            usage: record.usage,
            cost: record.cost,
            reused: record.reused(),
            sends: record.sends() + record.under_way().map(|_| 1).sum::<u32>(),
            elapsed: record.started.elapsed(),
        });
    }
}

#[cfg(test)]
mod tests;
