//! Where an answer comes from that is not of the request's own call.

/// Where an answer comes from that no call of the request's own has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reused {
    /// From an equal request that was in flight: see [`coalesce`](super::RequestManagerBuilder::coalesce).
    InFlight,
    /// From the [cache](super::RequestManagerBuilder::cache).
    Cache,
}

impl Reused {
    /// A stable name: `in_flight`, `cache`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InFlight => "in_flight",
            Self::Cache => "cache",
        }
    }
}
