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
}

impl Work {
    /// A piece of work.
    pub fn new(id: impl Into<Arc<str>>, payload: impl Into<Bytes>) -> Self {
        Self { id: id.into(), payload: payload.into() }
    }
}

/// What a push found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pushed {
    /// Nothing. The work is new.
    New,
    /// Work with this id that is not done yet.
    Unfinished,
    /// Work with this id that is done.
    Done,
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

/// The answer to a piece of work. `Debug` prints no bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The id of the work.
    pub id: Arc<str>,
    /// The bytes that it was finished with.
    pub bytes: Bytes,
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
    /// Done, with an answer that was not exported.
    pub done: usize,
    /// Done and exported.
    pub exported: usize,
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
        f.debug_struct("Work").field("id", &self.id).field("bytes", &self.payload.len()).finish()
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
        f.debug_struct("Answer").field("id", &self.id).field("bytes", &self.bytes.len()).finish()
    }
}
