//! The way to the provider: connections in memory, and times in which they fail below HTTP.

use std::{
    fmt,
    future::{Future, pending},
    io,
    ops::Range,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// What is wrong with the way to the provider for some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Trouble {
    /// The server is gone. Open connections are reset, and new ones are refused.
    Refused,
    /// Open connections are reset. New ones are made, and reset as soon as they are used.
    Reset,
    /// Packets are dropped without notice. Nothing comes back on an open connection, even after the trouble is over, because
    /// the device that dropped the packets has forgotten the connection. A new connection is made at the first repetition of
    /// its SYN (after 1, 3, 7, 15 s and so on) after the end of the trouble.
    SilentDrop,
    /// New connections are made, but nothing is answered on them or on open ones, as with a proxy whose server hangs. After
    /// the trouble only new connections are answered.
    Swallowed,
    /// The name is not found. Open connections live on.
    NameGone,
    /// The certificate is not accepted. Open connections live on.
    TlsBroken,
}

impl Trouble {
    /// The error of a new connection.
    fn error(self) -> io::Error {
        match self {
            Self::Refused => io::ErrorKind::ConnectionRefused.into(),
            Self::Reset | Self::SilentDrop | Self::Swallowed => io::ErrorKind::ConnectionReset.into(),
            Self::NameGone => {
                io::Error::other("failed to look up address information: name or service not known")
            }
            Self::TlsBroken => {
                io::Error::new(io::ErrorKind::InvalidData, "invalid peer certificate: certificate expired")
            }
        }
    }

    fn ends_connections(self) -> bool {
        matches!(self, Self::Refused | Self::Reset | Self::SilentDrop | Self::Swallowed)
    }
}

/// The times of trouble, since the start of the simulator.
#[derive(Debug, Default)]
pub(crate) struct Troubles(Vec<(Trouble, Range<Duration>)>);

impl Troubles {
    pub(crate) fn push(&mut self, trouble: Trouble, times: Range<Duration>) {
        self.0.push((trouble, times));
    }

    fn at(&self, now: Duration) -> Option<&(Trouble, Range<Duration>)> {
        self.0.iter().find(|(_, times)| times.contains(&now))
    }

    /// The next trouble, at `now` or later, that ends a connection which is opened now.
    fn end_after(&self, now: Duration) -> Option<(Trouble, Duration)> {
        let ends = self.0.iter().filter(|(trouble, times)| trouble.ends_connections() && times.end > now);
        ends.map(|(trouble, times)| (*trouble, times.start.max(now))).min_by_key(|(_, at)| *at)
    }

    /// Waits until a new connection is made, or has failed.
    pub(crate) async fn dial(&self, started: Instant) -> io::Result<()> {
        let began = started.elapsed();
        let mut repetition = Duration::from_secs(1);
        let mut next = began;
        loop {
            match self.at(next) {
                Some((Trouble::SilentDrop, _)) => {
                    next = next.saturating_add(repetition);
                    repetition = repetition.saturating_mul(2);
                    match started.checked_add(next) {
                        Some(at) => sleep_until(at).await,
                        None => pending().await,
                    }
                }
                None | Some((Trouble::Reset | Trouble::Swallowed, _)) => return Ok(()),
                Some((trouble, _)) => return Err(trouble.error()),
            }
        }
    }

    pub(crate) fn pipe(&self, stream: DuplexStream, was_reset: Arc<AtomicBool>, started: Instant) -> Pipe {
        let end = self.end_after(started.elapsed()).and_then(|(trouble, at)| {
            let at = started.checked_add(at)?;
            Some((trouble, Box::pin(sleep_until(at))))
        });
        Pipe { stream: Some(stream), was_reset, end }
    }
}

/// The client's end of a connection in memory.
///
/// If the simulator closes it with a reset, reading fails with [`io::ErrorKind::ConnectionReset`]. After an orderly close it
/// ends.
pub struct Pipe {
    // `None` after a reset.
    stream: Option<DuplexStream>,
    was_reset: Arc<AtomicBool>,
    // The trouble that ends it, and when.
    end: Option<(Trouble, Pin<Box<Sleep>>)>,
}

impl Pipe {
    /// The trouble that ended it, if one did. It asks the clock first.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Trouble> {
        match &mut self.end {
            Some((trouble, sleep)) => {
                let trouble = *trouble;
                if !sleep.is_elapsed() {
                    ready!(sleep.as_mut().poll(cx));
                }
                if !matches!(trouble, Trouble::SilentDrop | Trouble::Swallowed) {
                    self.stream = None;
                }
                Poll::Ready(trouble)
            }
            None => Poll::Pending,
        }
    }

    fn reset(&self) -> io::Error {
        io::ErrorKind::ConnectionReset.into()
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.poll_end(cx) {
            Poll::Ready(Trouble::SilentDrop | Trouble::Swallowed) => return Poll::Pending,
            Poll::Ready(_) => return Poll::Ready(Err(self.reset())),
            Poll::Pending => {}
        }
        let Some(stream) = &mut self.stream else { return Poll::Ready(Err(self.reset())) };
        let before = buf.filled().len();
        ready!(Pin::new(stream).poll_read(cx, buf))?;
        let is_end = buf.filled().len() == before && buf.remaining() > 0;
        if is_end && self.was_reset.load(Ordering::Relaxed) {
            return Poll::Ready(Err(self.reset()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.poll_end(cx) {
            Poll::Ready(Trouble::SilentDrop | Trouble::Swallowed) => return Poll::Ready(Ok(buf.len())),
            Poll::Ready(_) => return Poll::Ready(Err(self.reset())),
            Poll::Pending => {}
        }
        match &mut self.stream {
            Some(stream) => Pin::new(stream).poll_write(cx, buf),
            None => Poll::Ready(Err(self.reset())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Some(stream) => Pin::new(stream).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Some(stream) => Pin::new(stream).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe").field("is_open", &self.stream.is_some()).finish_non_exhaustive()
    }
}
