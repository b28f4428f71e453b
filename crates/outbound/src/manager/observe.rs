//! What a manager tells while it works.

use std::{fmt, time::Duration};

use super::error::ErrorKind;

/// Hears what becomes of each request while it happens. Given to
/// [`RequestManagerBuilder::observer`](super::RequestManagerBuilder::observer).
///
/// It is called in the task of the request, so it has to be quick and must not block. Without one nothing is made up to
/// be told.
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

/// What has happened.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Step<'a> {
    /// The request was taken up.
    Queued,
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
    /// The budget for extra calls is spent: the next success pays for it.
    Budget,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Limits => "its turn under the limits",
            Self::Backoff => "the time between two attempts",
            Self::Refused => "the server, which refused requests for their rate",
            Self::Outage => "the server to be there again",
            Self::Account => "another request to show whether the key is refused",
            Self::Budget => "a success that pays for an extra call",
        })
    }
}
