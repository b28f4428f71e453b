//! The events of one request, for observers and for `tracing`.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use outbound_client::Delivery;
use parking_lot::Mutex;
use tokio::time::Instant;

use self::trace::Trace;
use super::{
    destination::Destination,
    error::ErrorKind,
    guarded_observer::GuardedObserver,
    observe::{Event, Operation, Step, Waiting},
    record::Record,
    request::Request,
    scope::Account,
};

mod trace;

/// Sends the events of one request to the observers and to `tracing`. It exists only where somebody listens.
pub(crate) struct EventEmitter {
    observers: Arc<[GuardedObserver]>,
    number: u64,
    id: Option<String>,
    index: usize,
    /// From here on: as the current route has it.
    endpoint: Option<String>,
    provider: &'static str,
    operation: Operation,
    model: Option<String>,
    streams: bool,
    /// Whether [`Step::Queued`] was sent.
    queued_emitted: bool,
    state: Mutex<State>,
}

struct State {
    /// What the request waits for, and since when.
    waiting: Option<(Waiting, Instant)>,
    /// The account of the last attempt on this route.
    sent_to: Option<Arc<Account>>,
    trace: Option<Trace>,
}

impl EventEmitter {
    /// For a request that was accepted. Called where the request comes from, before its task runs. `None`: nobody
    /// listens.
    pub(crate) fn for_request(
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
        observers.iter().for_each(|observer| observer.call(|observer| observer.taken_in(number)));
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
            queued_emitted: false,
            state: Mutex::new(State { waiting: None, sent_to: None, trace }),
        }))
    }

    /// The request takes a route. `to` is the first destination on it.
    pub(crate) fn start_route(&mut self, route: usize, request: &Request, to: &Destination<'_>) {
        if route > 0 {
            self.emit_queued();
            self.emit_wait_end();
        }
        let Destination { scope, prepared } = to;
        let facts = &prepared.facts;
        self.endpoint.clone_from(&request.options().endpoint);
        self.provider = scope.account.provider.name();
        self.operation = Operation::of(&prepared.path, facts.chat);
        self.model.clone_from(&facts.model);
        self.streams = facts.stream;
        self.state.get_mut().sent_to = None;
        if route == 0 { self.emit_queued() } else { self.emit(Step::Rerouted { route }) }
    }

    /// Sends [`Step::Queued`], unless it was sent before.
    fn emit_queued(&mut self) {
        if !std::mem::replace(&mut self.queued_emitted, true) {
            self.emit(Step::Queued);
        }
    }

    pub(crate) fn emit(&self, step: Step<'_>) {
        self.emit_wait_end();
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
            && catch_unwind(AssertUnwindSafe(|| trace.emit(&event))).is_err()
        {
            // Nothing is logged here: what panicked is a subscriber of logs.
            state.trace = None;
        }
        drop(state);
        self.observers.iter().for_each(|observer| observer.call(|observer| observer.event(&event)));
    }

    /// Sends [`Step::Waited`] if a wait was going on.
    fn emit_wait_end(&self) {
        let waited = self.state.lock().waiting.take();
        if let Some((reason, began)) = waited {
            self.emit(Step::Waited { reason, took: began.elapsed() });
        }
    }

    /// An attempt begins.
    pub(crate) fn sent(&self, account: &Arc<Account>, attempt: u32) {
        self.state.lock().sent_to = Some(Arc::clone(account));
        self.emit(Step::Sent { attempt });
    }

    /// The request has ended, and so have its attempts in flight.
    pub(crate) fn ended(mut self, record: &Record, failure: Option<ErrorKind>) {
        self.emit_queued();
        for (began, attempt) in record.in_flight() {
            let took = began.elapsed();
            self.emit(Step::AttemptEnded {
                attempt,
                took,
                delivery: Delivery::MaybeSent,
                status: None,
                failure,
                message: "",
                usage: None,
            });
        }
        self.emit(Step::Ended {
            failure,
            usage: record.usage,
            cost: record.cost,
            reused: record.reused(),
            sends: record.sends() + record.in_flight().map(|_| 1).sum::<u32>(),
            elapsed: record.started.elapsed(),
        });
    }
}

#[cfg(test)]
mod tests;
