//! The public snapshot of a pool.

use http::Version;

use super::{Pool, state::Protocol};
use crate::{connect::Proxy, origin::Origin};

/// The connections of a [`Client`](crate::Client) to one origin at one moment, from
/// [`Client::snapshot`](crate::Client::snapshot).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolSnapshot {
    /// Where the connections go.
    pub origin: Origin,
    /// The proxy that they go through.
    pub proxy: Option<Proxy>,
    /// The version of HTTP that they speak, once it is known: HTTP/1.1 or HTTP/2.
    pub version: Option<Version>,
    /// Connections without a request.
    pub idle: usize,
    /// Connections with at least one request, and those that are being closed.
    pub busy: usize,
    /// Connections being opened.
    pub dialing: usize,
    /// Requests that wait for a connection.
    pub waiting: usize,
}

impl Pool {
    pub(super) fn snapshot(&self) -> PoolSnapshot {
        let state = self.lock();
        let unused = state.multiplexed.iter().filter(|connection| connection.streams == 0).count();
        let idle = state.idle.len() + unused;
        PoolSnapshot {
            origin: self.origin.clone(),
            proxy: self.proxy.clone(),
            version: state.protocol.map(|protocol| match protocol {
                Protocol::Http1 => Version::HTTP_11,
                Protocol::Http2 => Version::HTTP_2,
            }),
            idle,
            busy: state.open.saturating_sub(state.dialing + idle),
            dialing: state.dialing,
            waiting: state.waiters.len(),
        }
    }
}
