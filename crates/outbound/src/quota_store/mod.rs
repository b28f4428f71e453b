//! Quota that several processes share, in chunks.
//!
//! Two processes that use one key have one quota. If each keeps all of it, the provider refuses; if each keeps half of it, one
//! that has nothing to do wastes its half. A [`QuotaStore`] holds the quota for all of them. A process asks it for a chunk
//! ([`exchange`](QuotaStore::exchange)), spends the chunk without asking again, and asks for the next one.
//!
//! | store | holds it in | for |
//! |---|---|---|
//! | [`MemoryQuota`] | memory | several managers of one process, tests |
//! | [`FolderQuota`] | a folder | several processes of one machine |
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use outbound::quota_store::{Exchange, MemoryQuota, QuotaStore, Rule, Scope};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = MemoryQuota::new();
//! let minute = Duration::from_secs(60);
//! let scope = Scope::new("api.example.com, key 1")
//!     .rule(Rule::rate(500, minute))          // requests
//!     .rule(Rule::rate(90_000, minute));      // tokens
//!
//! // Holder 1 has a queue of 20 requests with 4,000 tokens in all. The first of them needs 150.
//! let ask = Exchange::new(1, 1).wanted([20, 4_000]).least([1, 150]);
//! let grant = store.exchange(&scope, ask.clone()).await?;
//! assert_eq!(grant.granted, [0, 0]);          // a new quota begins empty: nobody knows what was spent before
//!
//! tokio::time::advance(grant.next_poll).await;
//! let grant = store.exchange(&scope, ask.seq(2)).await?;
//! assert!(grant.granted[0] >= 1 && grant.granted[1] >= 150);
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! With `burst` and `rate` of a rule, for any window of time `W`, by the clock of the store:
//!
//! | | |
//! |---|---|
//! | granted in `W` | at most `burst + rate × W`, returns aside |
//! | spent in `W`, by holders that keep the time to live | that, and what all had in hand when `W` began: each a [chunk](Rule::chunk) at most, or one request. One that has requests waiting spends its chunk at once |
//! | a holder that dies | what it had does not come back: less throughput, never an overrun. Its turn is waited for until a second after it was to ask again |
//! | a request larger than the burst | is granted when the burst is full, and what is beyond it is a debt: `burst` is then the size of that request. One larger than a whole period is never granted |
//! | a holder that asks when it was told | waits at most twice the time in which all holders are granted the largest that one of them gets, twice the time that fills the burst, and 15 seconds; pauses aside |
//! | a store whose clock is set ahead | grants one burst more at most. Set back, it grants nothing more, and a wait may be two minutes longer |
//! | an exchange that was asked twice | is done once, and answered alike |
//! | a store that lost its last writes | grants again what those granted, unless a holder reports it as spent before |
//! | a store that lost its row | begins empty, with another [generation](Grant::generation) |
//! | a refusal that one heard (429) | [pauses](Exchange::pause) all; then one holder may send its first request, then all have half, then all of it |
//! | exchanges | up to 16 holders that take all of a quota need 12 for each burst, and one holder never more than 10 a second |
//!
//! All rules of a scope are granted together or not at all.

mod clock;
mod file;
mod folder;
mod memory;
mod row;
mod types;

#[cfg(test)]
mod tests;

use std::future::Future;

pub use folder::FolderQuota;
pub use memory::MemoryQuota;
pub use row::{Holder, Row, Stage};
pub use types::{Exchange, Grant, QuotaError, Rule, Scope};

/// Where a shared quota is kept. An exchange is one round trip.
///
/// # Cancel safety
///
/// A dropped exchange was done or not. The same again, with the same number, finds out: it is done once.
///
/// # Errors
///
/// A [`QuotaError`] says that the store failed. What was granted then is worth nothing.
pub trait QuotaStore: Send + Sync {
    /// Reports what was spent, and asks for more.
    fn exchange(
        &self,
        scope: &Scope,
        exchange: Exchange,
    ) -> impl Future<Output = Result<Grant, QuotaError>> + Send;
}
