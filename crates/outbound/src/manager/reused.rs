//! Where the answer to a request came from, if not from its own call.

/// Where the answer came from, if the request made no call of its own.
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
