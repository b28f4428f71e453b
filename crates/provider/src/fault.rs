//! A reply that is not the answer.

use std::{fmt, time::Duration};

use crate::Class;

/// What a reply, or an event of a stream, means if it is not the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// The class. What to do next depends on it alone.
    pub class: Class,
    /// How long the server says to wait, never zero and at most a hundred years. For [`Class::QuotaSpent`] it
    /// says when the quota returns, as far as the server said so.
    ///
    /// It is the first of these that is there:
    ///
    /// 1. `retry-after-ms`, `x-ms-retry-after-ms`
    /// 2. `Retry-After`: seconds, decimals, `1.5s`, a date, an epoch
    /// 3. the body's: `retry_after`, `retryDelay`, "try again in 599ms"
    /// 4. the reset of a limit of which nothing remains, new windows before full buckets
    ///    ([`Reset`](crate::Reset))
    ///
    /// A later kind that is finer takes its place if the two differ by no more than one unit of the coarser one:
    /// `Retry-After: 1` is the 80 ms of the message, rounded up. Of several of one kind the longest counts.
    pub wait: Option<Duration>,
    /// The refusal concerns the key or the money, not the request: a refused key, a spent quota, a 403 that
    /// speaks of the key or the account. Other requests of the account will most likely be refused too.
    pub of_account: bool,
    /// The number of requests at one time was refused, not their rate.
    pub parallel: bool,
    /// The server's own word on retrying (`x-should-retry`).
    pub should_retry: Option<bool>,
    /// The provider's code for it, for example `rate_limit_exceeded`, cut to 64 bytes.
    pub code: Option<String>,
    /// The provider's message, on one line, cut to 2 KiB, without what looks like a key.
    pub message: Option<String>,
    /// The text of an answer that broke off, as far as it came.
    pub partial: Option<String>,
}

impl Fault {
    /// A fault of this class of which nothing more is known.
    pub const fn new(class: Class) -> Fault {
        Fault {
            class,
            wait: None,
            of_account: false,
            parallel: false,
            should_retry: None,
            code: None,
            message: None,
            partial: None,
        }
    }

    /// Whether the same request may succeed when it is sent again. The server's word counts, and without one the class.
    /// For a fault [of the account](Fault::of_account) the answer is no, whatever the server says.
    pub fn is_retryable(&self) -> bool {
        !self.of_account && self.should_retry.unwrap_or(self.class.is_retryable())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.class.fmt(f)?;
        if let Some(code) = &self.code {
            write!(f, " ({code})")?;
        }
        if let Some(wait) = self.wait {
            write!(f, ", told to wait {wait:?}")?;
        }
        match &self.message {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}
