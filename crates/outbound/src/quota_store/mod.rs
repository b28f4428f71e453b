//! Quota that several processes share, in chunks.
//!
//! Two processes that use one key have one quota. If each keeps all of it, the provider refuses; if each keeps half of it, one
//! that has nothing to do wastes its half. A [`QuotaStore`] holds the quota for all of them. A process asks it for a chunk
//! ([`exchange`](QuotaStore::exchange)), spends the chunk without asking again, and asks for the next one.
//!
//! | store | holds it in | for |
//! |---|---|---|
//! | [`MemoryQuota`] | memory | several managers of one process, tests |
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
//! | spent in `W`, by holders that keep the time to live | at most `burst + rate × W`: what was granted and not reported as spent counts against the burst |
//! | a request larger than the burst | is granted when all that can be saved up is there, and what is beyond it is a debt: `burst` is then the size of that request |
//! | a holder that dies | what it had is lost until its time to live is over, and nothing of it comes back: less throughput, never an overrun |
//! | an exchange that was asked twice | is done once, and answered alike |
//! | a store that lost its row | begins empty, with another [generation](Grant::generation) |
//! | a refusal that one heard (429) | [pauses](Exchange::pause) all; then one holder may send its first request, then all have half, then all of it |
//!
//! All rules of a scope are granted together or not at all.

mod memory;
mod row;
mod types;

#[cfg(test)]
mod tests;

use std::future::Future;

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
