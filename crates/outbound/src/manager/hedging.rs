//! When a slow call is made a second time.

use std::time::Duration;

/// When a call that is slow is made a second time while it runs: the first answer counts, and the other call is given up
/// (Dean, Barroso: "The Tail at Scale", 2013). Given to
/// [`RequestManagerBuilder::hedge`](crate::RequestManagerBuilder::hedge).
///
/// | setter | default |
/// |---|---|
/// | [`min_delay`](Self::min_delay) | none |
/// | [`budget`](Self::budget) | 5 percent |
/// | [`allow_duplicates`](Self::allow_duplicates) | no |
///
/// What is slow is known for each model by its last 256 calls, once 20 are known. A second call is made only where the limits
/// have room for it at once, and counts against [`max_attempts`](crate::RequestManagerBuilder::max_attempts) as a retry does.
/// It goes to another endpoint where several share the name. No probe of an outage is hedged, and no
/// [`stream`](crate::RequestManager::stream).
///
/// ```
/// use outbound::{Hedging, Provider, RequestManager};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let manager = RequestManager::builder()
///     .provider(Provider::http())
///     .base_url("https://search.example")
///     .hedge(Hedging::at_percentile(95))
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "it does nothing until a manager has it"]
pub struct Hedging {
    pub(super) percentile: u32,
    pub(super) min_delay: Duration,
    pub(super) budget: u32,
    pub(super) duplicates: bool,
}

impl Hedging {
    /// Hedges the calls that run longer than so many of a hundred did lately. At 95 that is about one call in twenty; at 100,
    /// none.
    pub const fn at_percentile(percentile: u32) -> Self {
        Self { percentile, min_delay: Duration::ZERO, budget: 5, duplicates: false }
    }

    /// No second call is made sooner, however fast the others were.
    pub const fn min_delay(mut self, delay: Duration) -> Self {
        self.min_delay = delay;
        self
    }

    /// So many second calls there are at most among a hundred calls.
    pub const fn budget(mut self, percent: u32) -> Self {
        self.budget = percent;
        self
    }

    /// Hedges also what may then be processed, and billed, twice. By default that is what is sent twice without harm: methods that
    /// are idempotent (RFC 9110, section 9.2.2), and providers that promise to honour an idempotency key.
    pub const fn allow_duplicates(mut self) -> Self {
        self.duplicates = true;
        self
    }
}
