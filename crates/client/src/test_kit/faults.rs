//! Faults on connections, for tests.

use std::{
    fmt, io,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use crate::{
    connect::{Connect, Connected, Connecting, Stream},
    origin::Origin,
};

/// What goes wrong on a connection, as the client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing listens.
    Refuse,
    /// After this many bytes from the server, nothing more comes, and no end either.
    Stall {
        /// Bytes that still come.
        after: usize,
    },
    /// After this many bytes the connection ends.
    Cut {
        /// Bytes that still come.
        after: usize,
    },
    /// After this many bytes the connection is reset.
    Reset {
        /// Bytes that still come.
        after: usize,
    },
    /// The server's bytes come slowly, in small pieces.
    Drip {
        /// The bytes of each piece, at least 1.
        bytes: usize,
        /// The time before each piece.
        every: Duration,
    },
}

/// A connector whose connections have faults. It wraps a [`Mock`](super::Mock) or any other
/// [`Connect`](crate::Connect), and is used with [`ClientBuilder::connector`](crate::ClientBuilder::connector).
pub struct Faults<C> {
    inner: C,
    plan: Box<dyn Fn(usize) -> Option<Fault> + Send + Sync>,
    dialled: AtomicUsize,
}

impl<C: Connect> Faults<C> {
    /// `plan` says what goes wrong on each connection, by its number. The first one is 0. Bytes are counted from the
    /// beginning of a connection, including all heads and, if there is TLS, its records.
    pub fn new(inner: C, plan: impl Fn(usize) -> Option<Fault> + Send + Sync + 'static) -> Self {
        Self { inner, plan: Box::new(plan), dialled: AtomicUsize::new(0) }
    }
}

impl<C: Connect> Connect for Faults<C> {
    fn connect(&self, origin: &Origin) -> Connecting {
        let fault = (self.plan)(self.dialled.fetch_add(1, Ordering::Relaxed));
        if fault == Some(Fault::Refuse) {
            return Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) });
        }
        let connecting = self.inner.connect(origin);
        Box::pin(async move {
            let Connected { transport, remote_addr, proxied } = connecting.await?;
            let transport = match fault {
                Some(fault) => {
                    Stream::Other(Box::new(Faulty { inner: transport, fault, read: 0, drop: None }))
                }
                None => transport,
            };
            Ok(Connected { transport, remote_addr, proxied })
        })
    }
}

struct Faulty {
    inner: Stream,
    fault: Fault,
    read: usize,
    // When the next piece comes.
    drop: Option<Pin<Box<Sleep>>>,
}

impl Faulty {
    /// How many bytes may be read now.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        match self.fault {
            Fault::Refuse => Poll::Ready(0),
            Fault::Stall { after } | Fault::Cut { after } | Fault::Reset { after } => {
                Poll::Ready(after.saturating_sub(self.read))
            }
            Fault::Drip { bytes, every } => {
                let drop = self.drop.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + every)));
                drop.as_mut().poll(cx).map(|()| bytes.max(1))
            }
        }
    }
}

impl AsyncRead for Faulty {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let room = ready!(self.poll_room(cx)).min(buf.remaining());
        // At its limit, the fault happens when the next byte is there, not before.
        let mut bytes = vec![0; room.max(1)];
        let mut piece = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut piece))?;
        self.drop = None;
        if room > 0 {
            buf.put_slice(piece.filled());
            self.read += piece.filled().len();
            return Poll::Ready(Ok(()));
        }
        match self.fault {
            Fault::Stall { .. } => Poll::Pending,
            Fault::Reset { .. } => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Fault::Refuse | Fault::Cut { .. } | Fault::Drip { .. } => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Faulty {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<C> fmt::Debug for Faults<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("dialled", &self.dialled).finish_non_exhaustive()
    }
}
