//! The transport under a WebSocket, with the bytes that are still to be written.

use std::{
    io::{self, Read, Write},
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::wakers::Wakers;
use crate::upgraded::Upgraded;

/// The transport under a WebSocket, and the bytes that are still to be written.
///
/// The codec writes into `out` and never waits. So the codec gets a message as a whole or not at all, and a long
/// message is not copied again at every step.
pub(super) struct Wire {
    /// `None` once the WebSocket has ended.
    io: Option<Upgraded>,
    out: BytesMut,
    /// How many bytes of `out` are answers to the server's frames. Reset when `out` is empty.
    answers: usize,
    /// Whether bytes came since the last call of `take_received`, and whether some were written since `take_written`.
    received: bool,
    written: bool,
    /// Writing has failed. What the server sent before can still be read.
    broken: bool,
    wakers: Arc<Wakers>,
    waker: Waker,
}

impl Wire {
    /// If a server sends pings and does not read the answers, nothing more is read from it.
    const MAX_ANSWERS: usize = 64 << 10;
    /// The memory that is kept for the next messages.
    const KEPT: usize = 64 << 10;

    pub(super) fn new(io: Upgraded) -> Self {
        let wakers = Arc::<Wakers>::default();
        let waker = Waker::from(wakers.clone());
        let out = BytesMut::new();
        Self { io: Some(io), out, answers: 0, received: false, written: false, broken: false, wakers, waker }
    }

    pub(super) fn wakers(&self) -> &Wakers {
        &self.wakers
    }

    /// What the codec reads from and writes to. With `answers`, it writes answers to the server; otherwise the
    /// caller's messages.
    pub(super) fn codec_side(&mut self, answers: bool) -> CodecSide<'_> {
        CodecSide { wire: self, answers }
    }

    pub(super) fn owes_too_much(&self) -> bool {
        self.answers >= Self::MAX_ANSWERS
    }

    /// How many bytes are still to be written.
    pub(super) fn waiting(&self) -> usize {
        self.out.len()
    }

    pub(super) fn take_received(&mut self) -> bool {
        mem::take(&mut self.received)
    }

    pub(super) fn take_written(&mut self) -> bool {
        mem::take(&mut self.written)
    }

    /// Writes as much as the transport takes.
    pub(super) fn poll_out(&mut self) -> Poll<io::Result<()>> {
        let Self { io: Some(io), out, waker, .. } = self else { return Poll::Ready(Err(ended())) };
        let mut cx = Context::from_waker(waker);
        if self.broken {
            return Poll::Ready(Err(ended()));
        }
        while !out.is_empty() {
            match ready!(Pin::new(&mut *io).poll_write(&mut cx, out)) {
                Ok(0) => return Poll::Ready(Err(self.give_up(io::ErrorKind::WriteZero.into()))),
                Ok(written) => {
                    out.advance(written);
                    self.written = true;
                }
                Err(error) => return Poll::Ready(Err(self.give_up(error))),
            }
        }
        self.answers = 0;
        if out.capacity() > Self::KEPT {
            *out = BytesMut::new();
        }
        match ready!(Pin::new(io).poll_flush(&mut cx)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(self.give_up(error))),
        }
    }

    /// Sends what can be sent at once, and closes the transport.
    pub(super) fn end(&mut self) {
        if self.poll_out().is_ready()
            && let Some(io) = &mut self.io
        {
            let _ = Pin::new(io).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
        self.io = None;
        self.out = BytesMut::new();
    }

    fn give_up(&mut self, error: io::Error) -> io::Error {
        self.broken = true;
        self.out = BytesMut::new();
        self.answers = 0;
        error
    }
}

fn ended() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

/// The transport as the codec sees it.
pub(super) struct CodecSide<'a> {
    wire: &'a mut Wire,
    answers: bool,
}

impl Read for CodecSide<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Wire { io: Some(io), waker, received, .. } = &mut *self.wire else { return Err(ended()) };
        let mut buf = ReadBuf::new(buf);
        match Pin::new(io).poll_read(&mut Context::from_waker(waker), &mut buf) {
            Poll::Ready(result) => {
                result?;
                let read = buf.filled().len();
                *received |= read > 0;
                Ok(read)
            }
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for CodecSide<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if !self.wire.broken {
            self.wire.out.extend_from_slice(buf);
            if self.answers {
                self.wire.answers += buf.len();
            }
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
