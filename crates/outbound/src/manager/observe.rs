//! What a manager tells while it works.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use outbound_provider::Usage;

use super::error::ErrorKind;

/// Hears what becomes of each request while it happens. Given to
/// [`RequestManagerBuilder::observer`](super::RequestManagerBuilder::observer).
///
/// It is called in the task of the request, so it has to be quick and must not block. Without one nothing is made up to
/// be told.
///
/// One that panics costs no answer: the panic is caught, an error is logged, and it is not called again.
pub trait Observer: Send + Sync + 'static {
    /// Something has happened to a request.
    fn event(&self, event: &Event<'_>);
}

/// One thing that has happened to one request.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Event<'a> {
    /// The name that the caller gave the request.
    pub id: Option<&'a str>,
    /// Its place in its batch, from 0; 0 outside a batch.
    pub index: usize,
    /// The name of its endpoint; `None` for the manager's own.
    pub endpoint: Option<&'a str>,
    /// The model that its body names.
    pub model: Option<&'a str>,
    /// What has happened.
    pub step: Step<'a>,
}

/// An observer at work, until it panics.
pub(crate) struct GuardedObserver {
    observer: Box<dyn Observer>,
    panicked: AtomicBool,
}

/// A request as its observer knows it.
#[derive(Clone, Copy)]
pub(crate) struct Observed<'a> {
    pub(crate) observer: &'a GuardedObserver,
    /// The event of it that was told first; the others differ in their step.
    pub(crate) event: Event<'a>,
}

impl GuardedObserver {
    pub(crate) fn new(observer: impl Observer) -> Self {
        Self { observer: Box::new(observer), panicked: AtomicBool::new(false) }
    }
}

impl Observed<'_> {
    pub(crate) fn tell(&self, step: Step<'_>) {
        let GuardedObserver { observer, panicked } = self.observer;
        if panicked.load(Ordering::Relaxed) {
            return;
        }
        let told = catch_unwind(AssertUnwindSafe(|| observer.event(&Event { step, ..self.event })));
        if told.is_err() {
            panicked.store(true, Ordering::Relaxed);
            tracing::error!("the observer has panicked, and is not called again");
        }
    }
}

/// What has happened.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Step<'a> {
    /// The request was taken up.
    Queued,
    /// Its way has failed, and it takes another one.
    Rerouted {
        /// Which of its [fallbacks](super::Request::fallback), from 1.
        route: usize,
    },
    /// All limits have let it through.
    Admitted,
    /// An attempt begins: the first is 1.
    Sent {
        /// Which attempt.
        attempt: u32,
    },
    /// A stream has brought its first item.
    Item,
    /// An attempt has failed.
    Failed {
        /// How.
        kind: ErrorKind,
        /// What happened, in one line, without secrets.
        message: &'a str,
    },
    /// It waits, holding nothing.
    Waiting {
        /// What for.
        reason: Waiting,
        /// How long at the least, where that is known.
        at_least: Option<Duration>,
    },
    /// It has its outcome.
    Ended {
        /// Why there is no reply; `None` if there is one.
        failure: Option<ErrorKind>,
        /// Tokens, as far as the provider told.
        usage: Option<Usage>,
        /// How often it was sent, or may have been.
        sends: u32,
    },
}

/// What a request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Waiting {
    /// Its turn under the limits.
    Limits,
    /// The time between two attempts.
    Backoff,
    /// The server has refused requests for their rate, and said until when, or did not.
    Refused,
    /// The endpoint cannot be reached, or nothing but failures comes back: one request at a time looks whether that is over.
    Outage,
    /// The key or the money was refused: another request finds out whether that holds for all.
    Account,
    /// The manager is [paused](super::RequestManager::pause).
    Paused,
    /// The rest of the budget is for what is under way, which may cost less.
    Money,
    /// The budget for extra calls is spent: the next success pays for it.
    Budget,
    /// The answer to an equal request in flight, which is its own too.
    EqualRequest,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Limits => "its turn under the limits",
            Self::Backoff => "the time between two attempts",
            Self::Refused => "the server, which refused requests for their rate",
            Self::Outage => "the server to be there again",
            Self::Account => "another request to show whether the key is refused",
            Self::Paused => "the end of a pause",
            Self::Money => "what is under way to leave some of the budget",
            Self::Budget => "a success that pays for an extra call",
            Self::EqualRequest => "the answer to an equal request",
        })
    }
}
