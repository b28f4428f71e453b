//! The types that go into a store and come out of it.

use std::{error, fmt, sync::Arc};

use bytes::Bytes;

/// A piece of work. `Debug` prints no payload, which may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Work {
    /// The id of the work. Work with the same id is the same work.
    pub id: Arc<str>,
    /// What a worker needs to do the work.
    pub payload: Bytes,
    /// Higher ones are claimed first, and each priority is worth 30 seconds of waiting: work that has waited for 30 s longer than
    /// work of the next higher priority goes before it. Default 0.
    pub priority: i16,
}

impl Work {
    /// A piece of work of priority 0.
    pub fn new(id: impl Into<Arc<str>>, payload: impl Into<Bytes>) -> Self {
        Self { id: id.into(), payload: payload.into(), priority: 0 }
    }

    /// The same with another [priority](Self::priority).
    #[must_use]
    pub fn priority(mut self, priority: i16) -> Self {
        self.priority = priority;
        self
    }
}

/// What a push found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pushed {
    /// Nothing. The work is new.
    New,
    /// Work with this id that is not done yet.
    Unfinished,
    /// Work with this id that is done: answered, or failed finally.
    Done,
    /// Work with this id and another payload, done or not. Nothing changes: the first payload stays. It is found where the store
    /// still has the first payload; see the store.
    Changed,
}

/// How a piece of work ends. `Debug` prints no bytes.
///
/// Bytes alone are an answer: `"an answer".into()`.
#[derive(Clone, PartialEq, Eq)]
pub enum End {
    /// With its answer.
    Answered(Bytes),
    /// It failed finally. The bytes say why. It can be tried again only by [`retry_failed`](super::WorkStore::retry_failed).
    Failed(Bytes),
}

impl<T: Into<Bytes>> From<T> for End {
    fn from(answer: T) -> Self {
        Self::Answered(answer.into())
    }
}

/// Whether a claim takes work that may have been sent before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ambiguous {
    /// It does. The work may be paid for twice.
    Take,
    /// It does not. The work may stay undone; [`Counts::ambiguous`] says how much there is.
    Leave,
}

/// The right to do a piece of work, for a time. `Debug` prints no payload.
#[derive(Clone)]
pub struct Lease {
    /// The id of the work.
    pub id: Arc<str>,
    /// The payload that was pushed.
    pub payload: Bytes,
    /// A number that no other lease of the store ever has. It tells a late holder from the present one.
    pub number: u64,
    /// How often the work was claimed, including this time.
    pub deliveries: u32,
    /// An earlier holder may have sent it, with an unknown result.
    pub may_have_been_sent: bool,
}

/// What a piece of work was finished with. `Debug` prints no bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The id of the work.
    pub id: Arc<str>,
    /// The bytes that it was finished with.
    pub bytes: Bytes,
    /// It failed finally, and the bytes say why.
    pub failed: bool,
    /// The position of the work in the order of pushing, for the next page of [`answers`](super::WorkStore::answers). Positions
    /// grow, and some numbers may be left out.
    pub position: u64,
}

/// How much work is in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Ready, and not sent.
    pub ready: usize,
    /// Ready, and may have been sent before.
    pub ambiguous: usize,
    /// Claimed, whether or not the lease has expired.
    pub claimed: usize,
    /// Done, with an answer that was not exported. Failed work is in it.
    pub done: usize,
    /// Done and exported. Failed work is in it.
    pub exported: usize,
    /// How many of `done` and `exported` together have failed finally.
    pub failed: usize,
}

/// The lease is not held any more: it expired and the work was taken back, or the work was finished or released.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stale {
    /// The id of the work.
    pub id: Arc<str>,
    /// The number of the lease.
    pub number: u64,
}

impl Stale {
    /// The error for this lease.
    pub fn new(lease: &Lease) -> Self {
        Self { id: lease.id.clone(), number: lease.number }
    }
}

/// A store failed.
#[derive(Debug)]
pub struct WorkError(Box<dyn error::Error + Send + Sync>);

impl WorkError {
    /// Wraps the error of a store.
    pub fn new(error: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lease {} of the work {:?} is not held any more", self.number, self.id)
    }
}

impl error::Error for Stale {}

impl fmt::Display for WorkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store of work failed")
    }
}

impl error::Error for WorkError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&*self.0)
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work")
            .field("id", &self.id)
            .field("bytes", &self.payload.len())
            .field("priority", &self.priority)
            .finish()
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, bytes) = match self {
            Self::Answered(bytes) => ("Answered", bytes),
            Self::Failed(bytes) => ("Failed", bytes),
        };
        f.debug_struct(name).field("bytes", &bytes.len()).finish()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("id", &self.id)
            .field("number", &self.number)
            .field("deliveries", &self.deliveries)
            .field("may_have_been_sent", &self.may_have_been_sent)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("id", &self.id)
            .field("bytes", &self.bytes.len())
            .field("failed", &self.failed)
            .field("position", &self.position)
            .finish()
    }
}
