//! The settings of a pool.

use std::time::Duration;

use tokio::time::Instant;

/// How many connections a pool holds, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolSettings {
    pub(crate) max_connections: Option<usize>,
    pub(crate) max_connections_per_origin: Option<usize>,
    pub(crate) max_idle_per_origin: usize,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) max_requests_per_connection: Option<u32>,
}

impl PoolSettings {
    /// When a connection that is opened now becomes too old.
    pub(super) fn ends(&self, now: Instant) -> Option<Instant> {
        now.checked_add(self.max_lifetime?)
    }

    /// Whether a connection must take no more requests.
    pub(super) fn is_spent(&self, ends: Option<Instant>, requests: u64, now: Instant) -> bool {
        ends.is_some_and(|ends| now >= ends)
            || self.max_requests_per_connection.is_some_and(|max| requests >= u64::from(max))
    }
}
