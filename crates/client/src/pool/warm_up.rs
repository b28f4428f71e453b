//! Opening connections before they are needed.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::time::Instant;

use super::{PendingCheckout, Pool};
use crate::{connection::Connection, error::Error, limit_timer::earliest, limits::DialLimits};

/// Opens connections before they are needed, from [`Client::warm_up`](crate::Client::warm_up).
///
/// Dropping it leaves dials that have begun to the pool.
#[must_use = "futures do nothing unless polled"]
pub struct WarmUp {
    pool: Result<Arc<Pool>, Option<Error>>,
    connections: usize,
    limits: DialLimits,
    state: State,
}

enum State {
    /// Nothing was asked for yet.
    New,
    /// Connections that are awaited, and those that have come. They are returned together, so that no connection is
    /// counted twice.
    Dialing(Vec<PendingCheckout>, Vec<Connection>, Option<Error>),
}

impl WarmUp {
    pub(crate) fn new(pool: Result<Arc<Pool>, Error>, connections: usize, limits: DialLimits) -> Self {
        Self { pool: pool.map_err(Some), connections, limits, state: State::New }
    }
}

impl Future for WarmUp {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let pool = match &mut this.pool {
            Ok(pool) => pool.clone(),
            Err(error) => return Poll::Ready(error.take().map_or(Ok(()), Err)),
        };
        if let State::New = this.state {
            let pending = pool.ask_for(this.connections, this.limits);
            this.state = State::Dialing(pending, Vec::new(), None);
        }
        let State::Dialing(pending, connections, first_error) = &mut this.state else {
            return Poll::Pending;
        };
        pending.retain_mut(|pending| match pending.poll(cx) {
            Poll::Pending => true,
            Poll::Ready(Ok(connection)) => {
                connections.push(connection);
                false
            }
            Poll::Ready(Err(error)) => {
                first_error.get_or_insert_with(|| {
                    let mut error = error.into_error(&pool.origin);
                    if let Some(proxy) = &pool.proxy {
                        error.set_proxy(proxy);
                    }
                    error
                });
                false
            }
        });
        if !pending.is_empty() {
            return Poll::Pending;
        }
        connections.drain(..).for_each(|connection| pool.check_in(connection, Instant::now()));
        Poll::Ready(first_error.take().map_or(Ok(()), Err))
    }
}

impl Drop for WarmUp {
    fn drop(&mut self) {
        if let (Ok(pool), State::Dialing(_, connections, _)) = (&self.pool, &mut self.state) {
            connections.drain(..).for_each(|connection| pool.check_in(connection, Instant::now()));
        }
    }
}

impl Pool {
    /// Adds as many entries to the queue as connections are missing for `count` and allowed.
    fn ask_for(&self, count: usize, limits: DialLimits) -> Vec<PendingCheckout> {
        let now = Instant::now();
        let mut pending = Vec::new();
        self.change(now, |state, _| {
            let max = earliest(self.settings.max_connections_per_origin, self.settings.max_connections);
            let count = count.min(max.unwrap_or(count));
            // With HTTP/2, one connection serves all requests.
            let enough = !state.multiplexed.is_empty();
            let missing = match (state.closed, enough) {
                // The pool is closed, so one entry is enough to get the error.
                (true, _) => 1,
                (_, true) => 0,
                _ => count.saturating_sub(state.open),
            };
            pending.extend((0..missing).map(|_| self.queue(state, now, false, limits)));
        });
        pending
    }
}

impl fmt::Debug for WarmUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WarmUp").field("connections", &self.connections).finish_non_exhaustive()
    }
}
