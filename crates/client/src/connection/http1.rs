//! The HTTP/1.1 side of a connection: handshake and driver.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::{Connection, History, driver::Driver, io::Io};
use crate::{
    body::Body,
    reused_timer::ReusedTimer,
    sender::{End, Sender},
};

/// Begins to speak HTTP/1.1. With `for_upgrade`, the connection can later switch to another protocol. Without a
/// maximum of header fields, hyper's 100 hold, which need no allocation.
pub(crate) async fn open(
    io: Io,
    history: &Arc<History>,
    max_header_fields: Option<usize>,
    for_upgrade: bool,
) -> Result<(Connection, Driver), hyper::Error> {
    let mut builder = http1::Builder::new();
    if let Some(fields) = max_header_fields {
        builder.max_headers(fields);
    }
    let (sender, connection) = builder.handshake(TokioIo::new(io)).await?;
    let (sender, end) = Sender::new(sender);
    let driver: Driver = if for_upgrade {
        Box::pin(Http1Driver { connection: connection.with_upgrades(), _end: end })
    } else {
        Box::pin(Http1Driver { connection, _end: end })
    };
    Ok((Connection::http1(sender, history.clone(), ReusedTimer::new(Instant::now())), driver))
}

/// Runs an HTTP/1.1 connection until it is closed or switches to another protocol.
struct Http1Driver<C> {
    connection: C,
    // Dropped after the connection.
    _end: End<http1::SendRequest<Body>>,
}

impl<C: Future<Output = Result<(), hyper::Error>> + Unpin> Future for Http1Driver<C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.connection).poll(cx).map(drop)
    }
}
