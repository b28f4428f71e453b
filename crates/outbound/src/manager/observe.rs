//! Observers, and the events that a manager sends them.

use std::{fmt, time::Duration};

use http::StatusCode;
use outbound_client::{Delivery, Origin};
use outbound_provider::Usage;

use super::{error::ErrorKind, money::Money, reused::Reused};

/// Receives the events of each request as they happen. Given to
/// [`RequestManagerBuilder::observer`](super::RequestManagerBuilder::observer).
///
/// It is called in the task of the request. So it has to be quick and must not block. Without an observer no events are
/// made.
///
/// # Guarantees
///
/// - Each [`Step::Queued`] is followed by one [`Step::Ended`], whatever ends the request: also if it is cancelled, or if its
///   future or the manager is dropped.
/// - Each [`Step::Sent`] is followed by one [`Step::AttemptEnded`], and each [`Step::Waiting`] by one [`Step::Waited`]. Both
///   come before the end of the request.
/// - The steps of one request come in order. [`Event::number`] tells requests apart.
/// - A request that the manager does not accept has no events: one that a stopped batch does not read from its source, or
///   one that comes after a shutdown.
///
/// # Panics in an observer
///
/// A panic is caught and logged as an error. The observer is not called again. The request and the other observers go
/// on.
pub trait Observer: Send + Sync + 'static {
    /// Something has happened to a request.
    fn event(&self, event: &Event<'_>);

    /// A request was accepted and has this [number](Event::number). Unlike [`event`](Self::event), this is called where
    /// the request comes from, before its task runs. So the context of the caller, such as its trace, can be noted
    /// here. Each call is followed by a [`Step::Ended`]. Default: nothing is done.
    fn taken_in(&self, number: u64) {
        let _ = number;
    }
}

/// One thing that has happened to one request.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Event<'a> {
    /// The number of the request in the manager, from 0. All events of a request have the same number.
    pub number: u64,
    /// The id that the caller gave the request.
    pub id: Option<&'a str>,
    /// Its index in its batch, from 0. Outside a batch 0.
    pub index: usize,
    /// The name of its endpoint. `None` for the manager's own.
    pub endpoint: Option<&'a str>,
    /// The name of the provider. Empty if there is no such endpoint. Where several endpoints share a name, it is the
    /// provider of the last attempt.
    pub provider: &'a str,
    /// The server of the last attempt on this route. `None` before [`Step::Sent`].
    pub server: Option<&'a Origin>,
    /// What the request asks for.
    pub operation: Operation,
    /// The model that the body or the caller names.
    pub model: Option<&'a str>,
    /// Whether the request asks for a stream.
    pub streams: bool,
    /// What has happened.
    pub step: Step<'a>,
}

/// What a request asks for, judged by its path and its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// A generated answer: chats, messages, responses.
    Chat,
    /// The continuation of a text (`/completions`).
    TextCompletion,
    /// Embeddings.
    Embeddings,
    /// Anything else: files, audio, images, and every request to a plain HTTP server.
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

    /// `generates`: the body asks for a generated text.
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
    /// The request begins.
    Queued,
    /// The route of the request has failed, and the request takes another one.
    Rerouted {
        /// Which of its [fallbacks](super::Request::fallback), from 1.
        route: usize,
    },
    /// The request waits. It holds no permit meanwhile.
    Waiting {
        /// What for.
        reason: Waiting,
        /// The shortest time that it may take, if that is known.
        at_least: Option<Duration>,
    },
    /// The wait is over. Another one may follow at once, also for the same reason.
    Waited {
        /// What it waited for.
        reason: Waiting,
        /// How long.
        took: Duration,
    },
    /// The limits have room, and the request is sent next.
    Admitted,
    /// An attempt begins. The first one has number 1.
    Sent {
        /// Which attempt.
        attempt: u32,
    },
    /// A stream has brought its first item.
    Item {
        /// How long after the attempt began.
        after: Duration,
    },
    /// An attempt has ended: with the answer, with a failure, or aborted with its request.
    AttemptEnded {
        /// Which attempt.
        attempt: u32,
        /// How long it took, connecting included.
        took: Duration,
        /// Whether the server received the request: no, perhaps, or yes. Perhaps if the attempt was aborted.
        delivery: Delivery,
        /// The status of the reply, if there was one.
        status: Option<StatusCode>,
        /// How it failed. `None` if it brought the answer.
        failure: Option<ErrorKind>,
        /// What went wrong, in one line and without secrets. Empty if nothing did, or if the attempt was aborted.
        message: &'a str,
        /// Tokens, if the provider reported them.
        usage: Option<Usage>,
    },
    /// The request has its outcome.
    Ended {
        /// Why there is no reply. `None` if there is one.
        failure: Option<ErrorKind>,
        /// Tokens of the answer, if the provider reported them.
        usage: Option<Usage>,
        /// What the answer cost, where its model has a [price](super::RequestManagerBuilder::prices).
        cost: Option<Money>,
        /// Where the answer came from, if the request made no call of its own. Tokens and cost are empty then.
        reused: Option<Reused>,
        /// How often it was sent, or may have been.
        sends: u32,
        /// Time from `send` or `submit` to the end. In a batch, time since the request was taken from the source.
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
    /// The end of a refusal: the server has refused requests for their rate.
    Refused,
    /// The end of an outage: the endpoint cannot be reached, or all calls fail. One request at a time probes it.
    Outage,
    /// A witness: the key or the money was refused, and another request finds out whether that holds for all.
    Account,
    /// The manager is [paused](super::RequestManager::pause).
    Paused,
    /// Room in the budget of money: calls in flight may cost less than their estimates.
    Money,
    /// Room in the retry budget, which limits extra calls: the next success refills it.
    Budget,
    /// The answer to an equal request in flight, which this request will share.
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
