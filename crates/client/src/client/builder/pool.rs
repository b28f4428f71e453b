//! How many connections a client holds, and for how long.

use std::time::Duration;

use super::ClientBuilder;

/// The pool.
impl ClientBuilder {
    /// The most connections to all origins together, dials included; at least 1. Requests beyond it wait, for no longer
    /// than [`Limits::pool_wait`](crate::Limits::pool_wait).
    ///
    /// To make room, the connection that has been idle for longest is closed, of whichever origin. A place that comes
    /// free goes to the request that has waited longest of those whose origin has no connection at all, else of all.
    pub fn max_connections(mut self, max: impl Into<Option<usize>>) -> Self {
        self.rules.max_connections = max.into();
        self
    }

    /// The most connections to one origin, dials included; at least 1. Requests beyond it wait in order of arrival, for
    /// no longer than [`Limits::pool_wait`](crate::Limits::pool_wait). An HTTP/2 connection counts as one, whatever goes over it.
    pub fn max_connections_per_origin(mut self, max: impl Into<Option<usize>>) -> Self {
        self.rules.max_connections_per_origin = max.into();
        self
    }

    /// The most idle HTTP/1.1 connections to one origin. The one idle for longest is closed first.
    pub fn max_idle_per_origin(mut self, max: usize) -> Self {
        self.rules.max_idle_per_origin = max;
        self
    }

    /// How long a connection may be idle before it is closed. A server's `Keep-Alive: timeout` shortens it, to a second
    /// (at most half of it) less than the server said.
    ///
    /// Where a server says nothing and was seen to close idle connections at the same age, three times within ten minutes
    /// and no further apart than a second or a quarter, none is used that has been idle for as long as that: again a
    /// second, at most half of it, is taken off the shortest of those ages, and it is a second at least. The oldest one
    /// that is too old to be used stays open until the server closes it or this time is over. One that lived longer
    /// than it seemed possible overrules what was seen before.
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.rules.idle_timeout = timeout.into();
        self
    }

    /// How long a connection may be used, from its handshake on. An older one is closed when it is idle, never under a
    /// request: with HTTP/2 it takes no new ones, and ends with the last of those it has.
    pub fn max_lifetime(mut self, lifetime: impl Into<Option<Duration>>) -> Self {
        self.rules.max_lifetime = lifetime.into();
        self
    }

    /// How many requests may go over one connection; at least 1. A server's `Keep-Alive: max` is obeyed as well.
    pub fn max_requests_per_connection(mut self, max: impl Into<Option<u32>>) -> Self {
        self.rules.max_requests_per_connection = max.into();
        self
    }
}
