//! The futures of a WebSocket.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::{CloseFrame, Message, State, WebSocket};
use crate::error::Error;

/// The future of an open WebSocket, from [`RequestBuilder::connect`](crate::RequestBuilder::connect).
///
/// Dropping it cancels the handshake. The server may have seen it; its connection then ends.
#[must_use = "futures do nothing unless polled"]
pub struct OpenWebSocket(Pin<Box<dyn Future<Output = Result<WebSocket, Error>> + Send>>);

impl OpenWebSocket {
    pub(super) fn new(open: impl Future<Output = Result<WebSocket, Error>> + Send + 'static) -> Self {
        Self(Box::pin(open))
    }
}

impl Future for OpenWebSocket {
    type Output = Result<WebSocket, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for OpenWebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenWebSocket")
    }
}

/// The next message, from [`WebSocket::next`]. Dropping it loses nothing.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct NextMessage<'a>(pub(super) &'a mut WebSocket);

impl Future for NextMessage<'_> {
    type Output = Option<Result<Message, Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_message(cx)
    }
}

/// A message that is being sent, from [`WebSocket::send`]. If it is dropped, the message is either not sent or queued
/// as a whole.
#[must_use = "futures do nothing unless polled"]
pub struct SendMessage<'a> {
    socket: &'a mut WebSocket,
    // Until it is queued.
    message: Option<Message>,
}

impl<'a> SendMessage<'a> {
    pub(super) fn new(socket: &'a mut WebSocket, message: Message) -> Self {
        Self { socket, message: Some(message) }
    }
}

impl Future for SendMessage<'_> {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { socket, message } = &mut *self;
        if message.is_some() {
            ready!(socket.poll_ready_to_send(cx))?;
            if let Some(message) = message.take() {
                socket.queue(message)?;
            }
        }
        socket.poll_sent(cx)
    }
}

impl fmt::Debug for SendMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The message is left out, because it may contain anything.
        f.debug_struct("SendMessage")
            .field("socket", &self.socket)
            .field("queued", &self.message.is_none())
            .finish()
    }
}

/// A WebSocket that is being closed, from [`WebSocket::close`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct CloseWebSocket<'a> {
    socket: &'a mut WebSocket,
    frame: Option<Result<CloseFrame, Error>>,
}

impl<'a> CloseWebSocket<'a> {
    pub(super) fn new(socket: &'a mut WebSocket, frame: Result<CloseFrame, Error>) -> Self {
        Self { socket, frame: Some(frame) }
    }
}

impl Future for CloseWebSocket<'_> {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(frame) = self.frame.take() {
            self.socket.start_close(&frame?);
        }
        while self.socket.state != State::Ended {
            match ready!(self.socket.poll_message(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
