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
    /// Opens connections to the origin of `url` (absolute, or a path under the base URL) until there are `connections`
    /// of them, or as many as the client may have; of HTTP/2, one.
    ///
    /// # Errors
    ///
    /// The first dial that failed; those that succeeded stay.
    pub fn warm_up(&self, url: &str, connections: usize) -> WarmUp {
        WarmUp::new(self.target(url).map(|(pool, _)| pool), connections, self.limits().dial())
    }

    /// Lets all connections go that there are now: those that are idle at once, the others when their request is done.
    /// New requests get new ones, and names are looked up again, so that they follow a name to other addresses. (A dial
    /// that is under way may still serve one request.)
    ///
    /// This happens at the call. The future is ready when the last of those connections is closed.
    pub fn drain(&self) -> Drained {
        self.origins().drain(false);
        Drained::new(self.clone())
    }

    /// Drains the client for good: requests that wait for a connection, and those to come, fail with
    /// [`Kind::ClientClosed`](crate::Kind::ClientClosed), not sent. Those that have a connection go on.
    ///
    /// This happens at the call, for all clones of the client. The future is ready when the last connection is closed.
    pub fn close(&self) -> Drained {
        self.origins().drain(true);
        Drained::new(self.clone())
    }

    /// What there is of connections now, and who waits for one: an entry for each origin that the client has met, in
    /// order. (Those without a connection are forgotten now and then, once there are hundreds.)
    pub fn snapshot(&self) -> Vec<PoolSnapshot> {
        self.origins().snapshot()
    }
}

/// Ready when the connections that [`Client::drain`] or [`Client::close`] let go are closed.
///
/// Dropping it changes nothing about them.
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
