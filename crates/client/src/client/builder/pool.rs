//! Settings of the builder: how many connections the client holds, and for how long.

use std::time::Duration;

use super::ClientBuilder;

/// Settings of the pool.
impl ClientBuilder {
    /// The most connections to all origins together, including dials; at least 1. Further requests wait, for
    /// [`Limits::pool_wait`](crate::Limits::pool_wait) at most.
    ///
    /// To make room, the connection that was idle for longest is closed, of any origin. A free connection permit goes
    /// to the request that has waited longest among those whose origin has no connection; if there is none, to the
    /// one that has waited longest of all.
    pub fn max_connections(mut self, max: impl Into<Option<usize>>) -> Self {
        self.settings.max_connections = max.into();
        self
    }

    /// The most connections to one origin, including dials; at least 1. Further requests wait in order of arrival,
    /// for [`Limits::pool_wait`](crate::Limits::pool_wait) at most. An HTTP/2 connection counts as one, however many
    /// requests share it.
    pub fn max_connections_per_origin(mut self, max: impl Into<Option<usize>>) -> Self {
        self.settings.max_connections_per_origin = max.into();
        self
    }

    /// The most idle HTTP/1.1 connections to one origin. Above that, the one that was idle for longest is closed.
    pub fn max_idle_per_origin(mut self, max: usize) -> Self {
        self.settings.max_idle_per_origin = max;
        self
    }

    /// How long a connection may be idle before it is closed. A server's `Keep-Alive: timeout` shortens this time.
    /// One second is subtracted from what the server said, but never more than half of it.
    ///
    /// A server may say nothing and still close idle connections at a fixed age. The client detects this: three
    /// closings within ten minutes, whose ages differ by one second at most, or by a quarter. After that no
    /// connection is used that has been idle for as long as the shortest of those ages, less one second (at most half
    /// of it), and never less than one second. The oldest of the connections above that age stays open until the
    /// server closes it or this time is over. If one stays alive longer than was expected, the earlier observations
    /// are dropped.
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.idle_timeout = timeout.into();
        self
    }

    /// How long a connection may be used, from its handshake on. An older connection is closed when it is idle, never
    /// during a request. An HTTP/2 connection takes no new requests then, and ends with the last one that it has.
    pub fn max_lifetime(mut self, lifetime: impl Into<Option<Duration>>) -> Self {
        self.settings.max_lifetime = lifetime.into();
        self
    }

    /// The most requests on one connection; at least 1. A server's `Keep-Alive: max` is obeyed as well.
    pub fn max_requests_per_connection(mut self, max: impl Into<Option<u32>>) -> Self {
        self.settings.max_requests_per_connection = max.into();
        self
    }
}
