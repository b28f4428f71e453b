//! What a manager tells while it works.

use std::{fmt, time::Duration};

use http::StatusCode;
use outbound_client::{Delivery, Origin};
use outbound_provider::Usage;

use super::{error::ErrorKind, money::Money, reused::Reused};

/// Hears what becomes of each request while it happens. Given to
/// [`RequestManagerBuilder::observer`](super::RequestManagerBuilder::observer).
///
/// It is called in the task of the request, so it has to be quick and must not block. Without one nothing is made up to
/// be told.
///
/// # What may be relied on
///
/// - Each [`Step::Queued`] is followed by one [`Step::Ended`], whatever ends the request: also where it is called off, its
///   future is dropped, or the manager is.
/// - Each [`Step::Sent`] is followed by one [`Step::AttemptEnded`], and each [`Step::Waiting`] by one [`Step::Waited`], both
///   before the end of the request.
/// - The steps of one request come in their order. [`Event::number`] tells requests apart.
/// - A request that is not taken in is not told: one that a stopped batch does not read from its source, or that comes after
///   a shutdown.
///
/// # Panics in an observer
///
/// One that panics costs no answer and silences no other observer: the panic is caught, an error is logged, and it is not
/// called again.
pub trait Observer: Send + Sync + 'static {
    /// Something has happened to a request.
    fn event(&self, event: &Event<'_>);

    /// A request was taken in, and gets this [number](Event::number). Unlike an event this is called where the request comes
    /// from, before it runs in a task of its own: what is known of the caller there, such as a trace that it belongs to, can
    /// be noted. Each is followed by a [`Step::Ended`]. Default: nothing is done.
    fn taken_in(&self, number: u64) {
        let _ = number;
    }
}

/// One thing that has happened to one request.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Event<'a> {
    /// Which request of the manager it is, from 0. It is the same from [`Step::Queued`] to [`Step::Ended`], and no other
    /// request of the manager has it.
    pub number: u64,
    /// The name that the caller gave the request.
    pub id: Option<&'a str>,
    /// Its place in its batch, from 0; 0 outside a batch.
    pub index: usize,
    /// The name of its endpoint; `None` for the manager's own.
    pub endpoint: Option<&'a str>,
    /// The name of the provider; empty where there is no such endpoint. Where several endpoints share a name: that of the one
    /// it was sent to last.
    pub provider: &'a str,
    /// The server that it was sent to last on this route; `None` before [`Step::Sent`].
    pub server: Option<&'a Origin>,
    /// What is asked for.
    pub operation: Operation,
    /// The model that its body or its caller names.
    pub model: Option<&'a str>,
    /// Whether it asks for its answer as a stream.
    pub streams: bool,
    /// What has happened.
    pub step: Step<'a>,
}

/// What a request asks for, as far as its path and its body tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// A generated answer: chats, messages, responses.
    Chat,
    /// The continuation of a text (`/completions`).
    TextCompletion,
    /// Embeddings.
    Embeddings,
    /// Anything else: files, audio, images, and all that a plain HTTP server is asked.
    Other,
}

impl Operation {
    /// A stable name: `chat`, `text_completion`, `embeddings`, `other`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::TextCompletion => "text_completion",
            Self::Embeddings => "embeddings",
            Self::Other => "other",
        }
    }

    /// `generates`: only a generated text can answer its body.
    pub(super) fn of(path: &str, generates: bool) -> Self {
        let path = path.split('?').next().unwrap_or_default().trim_end_matches('/');
        let ends_with = |ends: &[&str]| ends.iter().any(|end| path.ends_with(end));
        if ends_with(&["/embeddings", "/api/embed", ":embedContent", ":batchEmbedContents"]) {
            Self::Embeddings
        } else if !generates {
            Self::Other
        } else if ends_with(&["/completions", "/api/generate"]) && !path.ends_with("/chat/completions") {
            Self::TextCompletion
        } else {
            Self::Chat
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
    /// It waits, holding nothing.
    Waiting {
        /// What for.
        reason: Waiting,
        /// How long at the least, where that is known.
        at_least: Option<Duration>,
    },
    /// That wait is over. Another may follow at once, also for the same reason.
    Waited {
        /// What it waited for.
        reason: Waiting,
        /// How long.
        took: Duration,
    },
    /// All limits have let it through.
    Admitted,
    /// An attempt begins: the first is 1.
    Sent {
        /// Which attempt.
        attempt: u32,
    },
    /// A stream has brought its first item.
    Item {
        /// How long after the attempt began.
        after: Duration,
    },
    /// An attempt has ended: with the answer, with a failure, or cut off with its request.
    AttemptEnded {
        /// Which attempt.
        attempt: u32,
        /// How long it took, connecting included.
        took: Duration,
        /// Whether the server has it: surely not, perhaps, or surely. One that was cut off perhaps.
        delivery: Delivery,
        /// The status of the reply, if there was one.
        status: Option<StatusCode>,
        /// How it failed; `None` if it brought the answer.
        failure: Option<ErrorKind>,
        /// What went wrong, in one line, without secrets; empty if nothing did or if it was cut off.
        message: &'a str,
        /// Tokens, as far as the provider told.
        usage: Option<Usage>,
    },
    /// It has its outcome.
    Ended {
        /// Why there is no reply; `None` if there is one.
        failure: Option<ErrorKind>,
        /// Tokens of the answer, as far as the provider told.
        usage: Option<Usage>,
        /// What the answer cost, where its model has a [price](super::RequestManagerBuilder::prices).
        cost: Option<Money>,
        /// Whose answer it is, if it made no call of its own. Then tokens and cost are not told again.
        reused: Option<Reused>,
        /// How often it was sent, or may have been.
        sends: u32,
        /// Time from `send` or `submit` to the end, or in a batch from when it was taken from the source.
        elapsed: Duration,
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

impl Waiting {
    /// A stable name: `limits`, `backoff`, `refused`, `outage`, `account`, `paused`, `money`, `budget`,
    /// `equal_request`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Limits => "limits",
            Self::Backoff => "backoff",
            Self::Refused => "refused",
            Self::Outage => "outage",
            Self::Account => "account",
            Self::Paused => "paused",
            Self::Money => "money",
            Self::Budget => "budget",
            Self::EqualRequest => "equal_request",
        }
    }
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

#[cfg(test)]
mod tests;
