//! Errors: why a request has no reply.

use std::{error, fmt, sync::Arc};

use super::reply::Reply;

/// Why a request failed.
///
/// [`kind`](Self::kind) is the sort of failure. The message says what happened, which limit and how long, with the
/// causes. Neither holds a key, a header or a query string. If the provider replied, [`reply`](Self::reply) has the
/// whole reply.
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    /// The error code of the provider.
    code: Option<String>,
    /// The request itself is at fault: it would be refused again.
    terminal: bool,
    reply: Option<Box<Reply>>,
    partial: Option<String>,
    source: Option<Arc<dyn error::Error + Send + Sync>>,
}

/// The sorts of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Refused for its rate, and no attempts or no time were left to try again.
    RateLimited,
    /// The provider was overloaded at the last attempt.
    Overloaded,
    /// The provider failed (a 5xx or the like) at the last attempt.
    Server,
    /// No connection could be made, or it broke.
    Connection,
    /// An attempt ran into one of its timeouts.
    Timeout,
    /// A stream ended without the provider's end marker. What arrived is in [`Error::partial`].
    StreamBroken,
    /// A success status whose body is no answer: cut JSON, a page of HTML, no choices. The body is in [`Error::reply`].
    Unreadable,
    /// The quota or the credit is used up.
    QuotaSpent,
    /// The [budget](super::RequestManagerBuilder::budget) is spent.
    BudgetSpent,
    /// The key was refused.
    Auth,
    /// The request was not sent, because nothing more is sent to its endpoint or for its model. The message says why.
    /// If it was never sent, it is in [`Outcome::unsent`](super::Outcome::unsent).
    Stopped,
    /// The provider refused the request for its content (400, 404, 413, 422, a content filter).
    Rejected,
    /// The deadline of the request passed, or would pass before it could be sent.
    Deadline,
    /// The request needs more than a limit can ever allow.
    Impossible,
    /// The request could not be built: no such endpoint, a bad path, a body that is not JSON.
    Invalid,
    /// It was [cancelled](super::Ticket::cancel). It may have been sent.
    Cancelled,
    /// The manager was shut down.
    ShutDown,
    /// The task of the request panicked: in code of the caller that runs in it, such as a subscriber of logs, or by a
    /// fault of this crate. The request may have been sent.
    Panicked,
}

impl ErrorKind {
    /// A stable name, as in the output of the command.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Server => "server_error",
            Self::Connection => "connection",
            Self::Timeout => "timeout",
            Self::StreamBroken => "stream_broken",
            Self::Unreadable => "unreadable",
            Self::QuotaSpent => "quota_spent",
            Self::BudgetSpent => "budget_spent",
            Self::Stopped => "stopped",
            Self::Auth => "auth",
            Self::Rejected => "rejected",
            Self::Deadline => "deadline",
            Self::Impossible => "impossible",
            Self::Invalid => "invalid",
            Self::Cancelled => "cancelled",
            Self::ShutDown => "shut_down",
            Self::Panicked => "panicked",
        }
    }
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            code: None,
            terminal: false,
            reply: None,
            partial: None,
            source: None,
        }
    }

    pub(crate) fn with_reply(mut self, reply: Option<Box<Reply>>) -> Self {
        self.reply = reply;
        self
    }

    pub(crate) fn with_partial(mut self, partial: Option<String>) -> Self {
        self.partial = partial;
        self
    }

    pub(crate) fn with_source(mut self, source: impl error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    pub(crate) fn with_code(mut self, code: Option<String>, terminal: bool) -> Self {
        (self.code, self.terminal) = (code, terminal);
        self
    }

    /// Whether the same request would be refused again.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Adds the number of sends to the message.
    pub(crate) fn after_sends(mut self, sends: u32) -> Self {
        if sends > 1 && !self.terminal {
            self.message = format!("{} (after {sends} sends)", self.message);
        }
        self
    }

    /// The sort of failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The error code of the provider, such as `rate_limit_exceeded`.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The last reply, if the provider replied at all.
    pub fn reply(&self) -> Option<&Reply> {
        self.reply.as_deref()
    }

    /// The text of a broken stream, as far as it came.
    pub fn partial(&self) -> Option<&str> {
        self.partial.as_deref()
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What the model wrote belongs to the caller, and not into logs.
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("reply", &self.reply)
            .field("partial", &self.partial.as_ref().map(String::len))
            .field("source", &self.source)
            .finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a manager could not be built.
#[derive(Debug)]
pub struct BuildError(String);

impl BuildError {
    pub(crate) fn new(message: String) -> Self {
        Self(message)
    }

    pub(crate) fn of(error: impl error::Error) -> Self {
        Self(error.to_string())
    }

    pub(crate) fn of_endpoint(self, name: &str) -> Self {
        Self(format!("endpoint {name}: {}", self.0))
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl error::Error for BuildError {}
