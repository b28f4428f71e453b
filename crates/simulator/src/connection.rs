//! One connection: HTTP/1.1 over anything that reads and writes.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{provider::Provider, service};

/// Serves a connection until the client closes it, a fault or idleness closes it, or `stop` says so or is gone. If a fault
/// wants a reset in place of an orderly close, `reset` gets the transport.
pub(crate) async fn serve<IO>(
    io: IO,
    provider: Arc<Provider>,
    mut stop: watch::Receiver<bool>,
    reset: impl FnOnce(IO),
) where
    IO: AsyncRead + AsyncWrite + Unpin + 'static,
{
    provider.state().ledger.connections += 1;
    let link = Arc::new(Link::new());
    let idle_close = provider.settings.idle_close;
    let answer = service_fn(|request| service::answer(Arc::clone(&provider), Arc::clone(&link), request));
    // The `Date` is written by the service, from the simulator's own clock.
    let mut connection =
        http1::Builder::new().auto_date_header(false).serve_connection(TokioIo::new(io), answer);
    tokio::select! {
        biased;
        () = stopped(&mut stop) => {}
        // An error means a client that left, bytes that are not HTTP, or a fault. None of these has to be reported.
        _ = &mut connection => {}
        () = link.idle_for(idle_close) => {}
    }
    if link.reset.load(Ordering::Relaxed) {
        reset(connection.into_parts().io.into_inner());
    }
}

/// Ready when `stop` says so or is gone.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopped| *stopped).await;
}

/// What the requests on a connection tell it.
#[derive(Debug)]
pub(crate) struct Link {
    // The time since which no request is being answered.
    idle: watch::Sender<Option<Instant>>,
    reset: AtomicBool,
}

impl Link {
    fn new() -> Self {
        Self { idle: watch::Sender::new(Some(Instant::now())), reset: AtomicBool::new(false) }
    }

    /// A request is being read or answered until the guard is dropped.
    pub(crate) fn busy(self: Arc<Self>) -> Busy {
        self.idle.send_replace(None);
        Busy { link: self }
    }

    async fn idle_for(&self, limit: Option<Duration>) {
        let Some(limit) = limit else { return pending().await };
        let mut idle = self.idle.subscribe();
        loop {
            let since = *idle.borrow_and_update();
            // A limit that is too far away to be an instant never comes.
            let close = async {
                match since.and_then(|since| since.checked_add(limit)) {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = idle.changed() => {}
                () = close => return,
            }
        }
    }
}

/// One request in hand. There is one at a time on a connection of HTTP/1.1.
#[derive(Debug)]
pub(crate) struct Busy {
    link: Arc<Link>,
}

impl Busy {
    /// Makes the connection end with a reset in place of an orderly close.
    pub(crate) fn reset_at_end(&self) {
        self.link.reset.store(true, Ordering::Relaxed);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.link.idle.send_replace(Some(Instant::now()));
    }
}
