//! The transport of a connection, together with its connection permit.

use std::{
    error::Error,
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connect::Stream;

/// A stream that holds its connection permit for as long as it is open.
pub(crate) struct Io {
    stream: Stream,
    /// Whether any byte was read.
    begun: bool,
    _permit: Option<Box<dyn Send + Sync>>,
}

impl Io {
    pub(crate) fn new(stream: Stream, permit: Option<Box<dyn Send + Sync>>) -> Self {
        Self { stream, begun: false, _permit: permit }
    }

    #[inline(never)]
    fn poll_read_any(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if !self.begun && !buf.filled().is_empty() {
            self.begun = true;
            self.look_at_first(buf.filled())?;
        }
        read
    }

    /// Recognizes a server that speaks TLS where HTTP was expected: it answers with a TLS alert (RFC 8446, section
    /// 6).
    #[cold]
    fn look_at_first(&self, bytes: &[u8]) -> io::Result<()> {
        const ALERT: u8 = 0x15;
        const MAJOR_VERSION: u8 = 3;
        let is_tls = matches!(*bytes, [ALERT] | [ALERT, MAJOR_VERSION, ..]);
        if is_tls && !matches!(self.stream, Stream::Tls(_)) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, SpeaksTls));
        }
        Ok(())
    }
}

/// The error if the server speaks TLS on a connection without TLS.
#[derive(Debug)]
pub(crate) struct SpeaksTls;

impl fmt::Display for SpeaksTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server answered with a TLS alert")
    }
}

impl Error for SpeaksTls {}

impl AsyncRead for Io {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Most streams are sockets, and most reads are not the first one.
        let this = &mut *self;
        match &mut this.stream {
            Stream::Tcp(stream) if this.begun => Pin::new(stream).poll_read(cx, buf),
            _ => this.poll_read_any(cx, buf),
        }
    }
}

impl AsyncWrite for Io {
    #[inline]
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    #[inline]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
