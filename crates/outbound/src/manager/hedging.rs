//! The options of hedging.

use std::time::Duration;

/// When a slow call is made a second time while it runs. The first answer counts, and the other call is aborted (Dean,
/// Barroso: "The Tail at Scale", 2013). Given to [`RequestManagerBuilder::hedge`](crate::RequestManagerBuilder::hedge).
///
/// | setter | default |
/// |---|---|
/// | [`min_delay`](Self::min_delay) | none |
/// | [`budget`](Self::budget) | 5 percent |
/// | [`allow_duplicates`](Self::allow_duplicates) | no |
///
/// Whether a call is slow is known for each model from its last 256 calls, once 20 are known. A second call is made
/// only if the limits have room for it at once. It counts against
/// [`max_attempts`](crate::RequestManagerBuilder::max_attempts) as a retry does. If several endpoints share the name,
/// it goes to another one. Probes of an outage are not hedged, nor are requests of
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
    /// Hedges calls that run longer than this percentile of recent calls. At 95 that is about one call in twenty; at
    /// 100, none.
    pub const fn at_percentile(percentile: u32) -> Self {
        Self { percentile, min_delay: Duration::ZERO, budget: 5, duplicates: false }
    }

    /// The shortest time after which a second call is made, however fast other calls were.
    pub const fn min_delay(mut self, delay: Duration) -> Self {
        self.min_delay = delay;
        self
    }

    /// The most second calls for each hundred calls.
    pub const fn budget(mut self, percent: u32) -> Self {
        self.budget = percent;
        self
    }

    /// Hedges also requests that may then be processed and billed twice. By default only those are hedged where that
    /// cannot happen: methods that are idempotent (RFC 9110, section 9.2.2), and providers that promise to honour an
    /// idempotency key.
    pub const fn allow_duplicates(mut self) -> Self {
        self.duplicates = true;
        self
    }
}
