//! A connection after it was switched from HTTP to another protocol.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::upgrade::{self, OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    error::{Delivery, Error, Kind, Phase},
    origin::Origin,
};

/// A connection that has switched from HTTP to another protocol, from [`Reply::upgrade`](crate::Reply::upgrade).
///
/// It begins with the first byte after the reply's head. None of the client's limits apply to it. It counts against
/// the client's maximum of connections until it is dropped, which closes it.
pub struct Upgraded(TokioIo<upgrade::Upgraded>);

impl AsyncRead for Upgraded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upgraded")
    }
}

/// The future of a switched connection, from [`Reply::upgrade`](crate::Reply::upgrade). Dropping it closes the
/// connection.
#[must_use = "futures do nothing unless polled"]
pub struct Upgrade {
    // `None` if the reply did not switch the protocol.
    upgrade: Option<OnUpgrade>,
    origin: Option<Origin>,
}

impl Upgrade {
    pub(crate) fn new(upgrade: Option<OnUpgrade>, origin: Option<Origin>) -> Self {
        Self { upgrade, origin }
    }
}

impl Future for Upgrade {
    type Output = Result<Upgraded, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let upgraded = match &mut self.upgrade {
            Some(upgrade) => ready!(Pin::new(upgrade).poll(cx)),
            None => {
                let error = Error::new(Kind::Protocol, Phase::Head, Delivery::Replied);
                let why = "the server did not switch to another protocol";
                return Poll::Ready(Err(error.text(why).at(self.origin.as_ref())));
            }
        };
        Poll::Ready(match upgraded {
            Ok(upgraded) => Ok(Upgraded(TokioIo::new(upgraded))),
            Err(error) => {
                let closed = Error::new(Kind::Closed, Phase::Upgraded, Delivery::Replied);
                Err(closed.source_from(error).at(self.origin.as_ref()))
            }
        })
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").field("origin", &self.origin).finish_non_exhaustive()
    }
}
