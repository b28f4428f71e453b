//! Work that survives a crash: pushed once, sent with care, answered once.
//!
//! A [`WorkStore`] holds pieces of work, each with an id. Workers [claim](WorkStore::claim) some of them for a time,
//! report [sent](WorkStore::sent) before a request is sent, and [finish](WorkStore::finish) them with an answer. After
//! a crash the store knows one of three things of each piece of work: it was not sent, it may have been sent (and
//! billed), or it is done.
//!
//! | store | holds it in | many processes |
//! |---|---|---|
//! | [`MemoryWork`] | memory: for tests, and where a crash may lose everything | no |
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
//!     store.finish(&[(lease, answer.into())]).await?;           // durable; End::Failed(why) if it failed finally
//! }
//!
//! let answers = store.answers(None, 100).await?;
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
//! | it is pushed again | nothing changes, and the first payload stays. The result says whether it is done, or whether the payload is another one |
//! | it is claimed | the [`Lease`] has a number that no other lease of the store ever has |
//! | the lease expires, or the process ends, before `sent` | it is ready again, and was not sent |
//! | the same after `sent` | it is ready again, and [may have been sent](Lease::may_have_been_sent): [`Ambiguous`] says whether a claim takes it |
//! | a holder comes back after another one claimed it | [`Stale`]: nothing changes, and its answer is not accepted |
//! | a holder comes back late, and nobody has taken the work back | its answer is accepted, since it was paid for |
//! | it failed finally | finish it with [`End::Failed`]. [`retry_failed`](WorkStore::retry_failed) makes all such work ready again |
//! | it was refused, and not processed | [release](WorkStore::release) it with `sent: false` |
//!
//! # Order
//!
//! Work of one [priority](Work::priority) is claimed in the order in which it was pushed, and a higher priority goes before a
//! lower one. Waiting counts: each 30 seconds are worth one priority. The place is decided once, when the work is pushed: its time
//! minus 30 seconds for each priority. So nothing waits for ever behind a stream of higher priorities. Work that comes back, or
//! that is tried again after a failure, keeps its place.
//!
//! # Time
//!
//! The two stores here measure time by tokio's clock, and only while they are open. Changes of the system clock have no effect. A
//! folder holds when work was pushed in the store's own time, which goes on after a restart from the last push of work that is not
//! done: for the order, the time between that push and the restart has not passed.

mod engine;
mod event;
mod folder;
mod log;
mod memory;
mod model;
mod place;
mod types;

use std::{future::Future, sync::Arc, time::Duration};

pub use folder::FolderWork;
pub use memory::MemoryWork;
pub use types::{Ambiguous, Answer, Counts, End, Lease, Pushed, Stale, Work, WorkError};

/// For each lease of a call, whether it was still held.
pub type Held = Vec<Result<(), Stale>>;

/// How long a [`wait`](WorkStore::wait) takes at most.
const POLL: Duration = Duration::from_secs(2);

/// A store of work. Each call takes many items at once, and is one transaction of a database.
///
/// # Cancel safety
///
/// Dropping a future leaves each piece of work either unchanged or changed as asked for. Another call finds out which.
/// Work that a dropped claim has taken comes back when its lease expires.
///
/// # Errors
///
/// A [`WorkError`] says that the store failed. The change may be durable or not.
pub trait WorkStore: Send + Sync {
    /// Adds work. When it returns, the work is durable, also work that was there before.
    fn push(&self, work: Vec<Work>) -> impl Future<Output = Result<Vec<Pushed>, WorkError>> + Send;

    /// Takes up to `most` pieces of work that are ready, in the [order](self#order) of priority and age. Expired leases are taken
    /// back before.
    ///
    /// For the time `ttl` nobody else gets them. [`renew`](Self::renew) extends that time.
    fn claim(
        &self,
        most: usize,
        ttl: Duration,
        ambiguous: Ambiguous,
    ) -> impl Future<Output = Result<Vec<Lease>, WorkError>> + Send;

    /// Reports that these are about to be sent. Durable when it returns, so call it before the first byte is sent.
    ///
    /// Do not send work whose lease is stale.
    fn sent(&self, leases: &[&Lease]) -> impl Future<Output = Result<Held, WorkError>> + Send;

    /// Holds these leases for the time `ttl` from now on.
    fn renew(&self, leases: &[&Lease], ttl: Duration)
    -> impl Future<Output = Result<Held, WorkError>> + Send;

    /// Ends work: answered, or failed finally. Durable when it returns.
    ///
    /// The end of a stale lease is not accepted. An answer was paid for, so keep it elsewhere if that matters.
    fn finish(&self, ends: &[(&Lease, End)]) -> impl Future<Output = Result<Held, WorkError>> + Send;

    /// Returns work to the store. `sent` says whether the request of this holder may have been processed.
    ///
    /// If an earlier holder may have sent it, that stays so.
    fn release(&self, leases: &[&Lease], sent: bool) -> impl Future<Output = Result<Held, WorkError>> + Send;

    /// Takes back work whose leases have expired, as [`claim`](Self::claim) does first. Returns how many.
    fn rescue(&self) -> impl Future<Output = Result<usize, WorkError>> + Send;

    /// Makes all work that has failed ready again, exported or not, as if it had not been sent. What it was finished with is
    /// dropped, and it keeps its place in the order. Returns how many. Durable when it returns.
    fn retry_failed(&self) -> impl Future<Output = Result<usize, WorkError>> + Send;

    /// Up to `most` answers that were not [exported](Self::exported) yet, failures too, in the order in which the work was pushed.
    ///
    /// `None` begins at the first. The [position](Answer::position) of the last answer of a page gives the next page. An answer
    /// that comes meanwhile may belong to an earlier page: who begins again finds it.
    fn answers(
        &self,
        after: Option<u64>,
        most: usize,
    ) -> impl Future<Output = Result<Vec<Answer>, WorkError>> + Send;

    /// Drops the answers of these ids, because they are stored elsewhere. The ids stay, so that pushing them again
    /// returns [`Done`](Pushed::Done). Ids that are not done are ignored. Durable when it returns.
    fn exported(&self, ids: &[Arc<str>]) -> impl Future<Output = Result<(), WorkError>> + Send;

    /// How much work is in which state.
    fn counts(&self) -> impl Future<Output = Result<Counts, WorkError>> + Send;

    /// Waits until there may be work to claim, or until the last work may be done, for 2 seconds at the most. It never fails, and
    /// it may return early.
    ///
    /// So a worker that claimed less than it has room for waits, and claims again. Work of an expired lease, and work that another
    /// process added where nobody could say so, is found by the next claim. Dropping the future changes nothing.
    fn wait(&self) -> impl Future<Output = ()> + Send;
}
