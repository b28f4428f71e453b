//! The client's connections as a whole: opening them early, closing them, and counting them.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    client::Client,
    pool::{PoolSnapshot, WarmUp},
};

/// The client's connections as a whole.
impl Client {
    /// Opens connections to the origin of `url` (absolute, or a path under the base URL) until there are
    /// `connections` of them, or as many as the client may have. For HTTP/2 it opens one.
    ///
    /// # Errors
    ///
    /// The error of the first dial that failed. Connections that were opened stay open.
    pub fn warm_up(&self, url: &str, connections: usize) -> WarmUp {
        WarmUp::new(self.target(url).map(|(pool, _)| pool), connections, self.limits().dial())
    }

    /// Closes all connections that exist now: idle ones at once, the others when their request is done. New requests
    /// get new connections, and names are looked up again, so that the client follows a name to other addresses. (A
    /// dial that is under way may still serve one request.)
    ///
    /// This happens when the method is called. The future is ready when the last of those connections is closed.
    pub fn drain(&self) -> Drained {
        self.origins().drain(false);
        Drained::new(self.clone())
    }

    /// Closes the client. Requests that wait for a connection, and all later ones, fail with
    /// [`Kind::ClientClosed`](crate::Kind::ClientClosed) and are not sent. Requests that have a connection continue.
    ///
    /// This happens when the method is called, for all clones of the client. The future is ready when the last
    /// connection is closed.
    pub fn close(&self) -> Drained {
        self.origins().drain(true);
        Drained::new(self.clone())
    }

    /// The connections that exist now, and the requests that wait for one: an entry for each origin that the client
    /// has met, in order. (If there are hundreds, origins without a connection are removed from time to time.)
    pub fn snapshot(&self) -> Vec<PoolSnapshot> {
        self.origins().snapshot()
    }
}

/// Ready when the connections that [`Client::drain`] or [`Client::close`] gave up are closed.
///
/// Dropping it does not change what happens to them.
pub struct Drained(Pin<Box<dyn Future<Output = ()> + Send + Sync>>);

impl Drained {
    fn new(client: Client) -> Self {
        Self(Box::pin(async move { client.origins().drained().await }))
    }
}

impl Future for Drained {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drained").finish_non_exhaustive()
    }
}
