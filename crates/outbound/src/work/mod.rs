//! Work that survives a crash: pushed once, sent with care, answered once.
//!
//! A [`WorkStore`] holds work with an id each. Workers [claim](WorkStore::claim) some of it for a time, say
//! [sent](WorkStore::sent) before a request leaves, and [finish](WorkStore::finish) it with an answer. After a crash the
//! store knows of each piece of work one of three things: it was surely not sent, it may have been sent (and paid for),
//! or it is done.
//!
//! | store | holds it in | many processes |
//! |---|---|---|
//! | [`MemoryWork`] | memory: for tests, and where a crash may lose all | no |
//! | [`FolderWork`] | a folder, on a [`journal`](crate::journal) | one at a time |
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use outbound::work::{Ambiguous, FolderWork, Pushed, Work, WorkStore};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let store = FolderWork::open(folder)?;
//! let pushed = store.push(vec![Work::new("row 1", "a question"), Work::new("row 2", "another")]).await?;
//! assert_eq!(pushed, [Pushed::New, Pushed::New]);               // after a restart: Unfinished or Done
//!
//! let ttl = Duration::from_secs(60);                            // longer than a call takes, or renewed
//! while let [lease] = &store.claim(1, ttl, Ambiguous::Leave).await?[..] {
//!     store.sent(&[lease]).await?;                              // durable: only now may bytes leave
//!     let answer = ask(&lease.payload).await;
//!     store.finish(&[(lease, answer)]).await?;                  // durable
//! }
//!
//! let answers = store.answers(100).await?;
//! # assert_eq!(answers.len(), 2);
//! let ids: Vec<_> = answers.iter().map(|answer| answer.id.clone()).collect();
//! // Write them to where they belong, then let the store drop them. It keeps their ids.
//! store.exported(&ids).await?;
//! # Ok(())
//! # }
//! # async fn ask(question: &[u8]) -> bytes::Bytes { bytes::Bytes::copy_from_slice(question) }
//! ```
//!
//! # What happens to a piece of work
//!
//! | when | then |
//! |---|---|
//! | it is pushed again | nothing: the answer says how far it is. The first payload stays |
//! | it is claimed | the [`Lease`] has a number that no other lease of the store ever has |
//! | the lease expires, or the process ends, before `sent` | it is ready again, surely not sent |
//! | the same after `sent` | it is ready again, and [may have been sent](Lease::may_have_been_sent): [`Ambiguous`] says whether a claim takes it |
//! | a holder comes back after another one claimed it | [`Stale`]: nothing changes, its answer is not taken |
//! | a holder comes back late, and nobody has taken it back | its answer is taken: it was paid for |
//! | it failed for good | finish it with what says so: an answer is any bytes |
//! | it was refused, and surely not processed | [release](WorkStore::release) it with `sent: false` |
//!
//! Work is claimed in the order in which it was pushed; what comes back keeps its place.
//!
//! Time is measured by tokio's clock only, and only while the store is open: no clock is written down, and a clock that
//! is set has no effect.

mod engine;
mod event;
mod folder;
mod memory;
mod model;
mod types;

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;

pub use folder::FolderWork;
pub use memory::MemoryWork;
pub use types::{Ambiguous, Answer, Counts, Lease, Pushed, Stale, Work, WorkError};

/// For each lease of a call, whether it was held.
pub type Held = Vec<Result<(), Stale>>;

/// Where work is kept. Each call takes many at once, and is one transaction of a database.
///
/// # Cancel safety
///
/// Dropping a future leaves each piece of work either as it was or as asked for. Calling again finds out. What a claim
/// took that was dropped comes back when its time is over.
///
/// # Errors
///
/// A [`WorkError`] says that the store failed: what was asked for may or may not be durable.
pub trait WorkStore: Send + Sync {
    /// Adds work. Durable when it returns, for work that was there before, too.
    fn push(&self, work: Vec<Work>) -> impl Future<Output = Result<Vec<Pushed>, WorkError>> + Send;

    /// Takes up to `most` pieces of work that are ready, oldest first; expired leases are taken back before.
    ///
    /// For so long nobody else gets them, and longer if they are [renewed](Self::renew).
    fn claim(
        &self,
        most: usize,
        ttl: Duration,
        ambiguous: Ambiguous,
    ) -> impl Future<Output = Result<Vec<Lease>, WorkError>> + Send;

    /// Says that these are about to be sent. Durable when it returns: call it before the first byte leaves.
    ///
    /// Do not send what is stale.
    fn sent(&self, leases: &[&Lease]) -> impl Future<Output = Result<Held, WorkError>> + Send;

    /// Holds these for so long from now on.
    fn renew(&self, leases: &[&Lease], ttl: Duration)
    -> impl Future<Output = Result<Held, WorkError>> + Send;

    /// Ends work with its answer. Durable when it returns.
    ///
    /// The answer of a stale lease is not taken. It was paid for: keep it elsewhere, if that matters.
    fn finish(&self, answers: &[(&Lease, Bytes)]) -> impl Future<Output = Result<Held, WorkError>> + Send;

    /// Gives work back. `sent` says whether this holder's request may have been processed.
    ///
    /// What an earlier holder may have sent stays that way.
    fn release(&self, leases: &[&Lease], sent: bool) -> impl Future<Output = Result<Held, WorkError>> + Send;

    /// Takes back what leases that have expired hold, as [`claim`](Self::claim) does first. Says how many.
    fn rescue(&self) -> impl Future<Output = Result<usize, WorkError>> + Send;

    /// Up to `most` answers that were not [exported](Self::exported) yet, in the order in which the work was pushed.
    /// The same ones again until they are.
    fn answers(&self, most: usize) -> impl Future<Output = Result<Vec<Answer>, WorkError>> + Send;

    /// Drops the answers of these: they are safe elsewhere. The ids stay, so that pushing them again says
    /// [`Done`](Pushed::Done). Ids that are not done are let be. Durable when it returns.
    fn exported(&self, ids: &[Arc<str>]) -> impl Future<Output = Result<(), WorkError>> + Send;

    /// How much there is in which state.
    fn counts(&self) -> impl Future<Output = Result<Counts, WorkError>> + Send;
}
