use std::{fmt, time::Duration};

use crate::Class;

/// A reply, or an event of a stream, that is not the answer: what it means and what it tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// What to do next depends on this alone.
    pub class: Class,
    /// The longest of the waits the server told, never zero and at most a hundred years. For
    /// [`Class::QuotaSpent`] it says when the quota returns, as far as the server said so.
    ///
    /// Counted are `Retry-After` (seconds, decimals, a date, an epoch), `retry-after-ms`,
    /// `x-ms-retry-after-ms`, resets of limits of which nothing remains, and hints in the body ("try again in
    /// 599ms", `retryDelay`). A reset that says when a bucket will be *full* again
    /// ([`Reset::Full`](crate::Reset::Full)) overstates the wait by far, so it counts only where nothing
    /// better was told.
    pub wait: Option<Duration>,
    /// Nothing else that is sent with this key can succeed either: the key is refused or its quota is spent.
    pub scope_stop: bool,
    /// The server's own word on retrying (`x-should-retry`).
    pub should_retry: Option<bool>,
    /// The provider's code for it, for example `rate_limit_exceeded`, cut to 64 bytes.
    pub code: Option<String>,
    /// The provider's message, on one line, cut to 2 KiB, without what looks like a key.
    pub message: Option<String>,
}

impl Fault {
    /// A fault of this class of which nothing more is known.
    pub const fn new(class: Class) -> Fault {
        Fault { class, wait: None, scope_stop: false, should_retry: None, code: None, message: None }
    }

    /// Whether sending the same request again can help: what the server says, else what the class says. A
    /// [`scope_stop`](Fault::scope_stop) is never retried, whatever the server says.
    pub fn is_retryable(&self) -> bool {
        !self.scope_stop && self.should_retry.unwrap_or(self.class.is_retryable())
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
