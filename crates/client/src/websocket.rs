//! WebSocket (RFC 6455) over a connection of the client. The `tungstenite` crate encodes and decodes the frames.

mod failure;
mod futures;
mod handshake;
mod message;
mod silence;
mod wakers;
mod wire;

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use bytestring::ByteString;
use futures_core::Stream;
use futures_sink::Sink;
use tokio::{task::coop, time::Instant};
use tungstenite::{
    Error as CodecError, Message as CodecMessage,
    protocol::{
        CloseFrame as CodecCloseFrame, Role, WebSocketConfig, WebSocketContext,
        frame::{
            Frame, Utf8Bytes,
            coding::{Data, OpCode},
        },
    },
};

use self::{
    failure::{failure, replied},
    silence::{Due, Silence},
    wire::Wire,
};
pub use self::{
    futures::{CloseWebSocket, NextMessage, OpenWebSocket, SendMessage},
    handshake::Handshake,
    message::{CloseFrame, Message},
};
use crate::{
    error::{Delivery, Error, Kind, Phase},
    limits::{Limit, Limits},
    origin::Origin,
    reused_timer::ReusedTimer,
    upgraded::Upgraded,
};

/// An open WebSocket, from [`Client::websocket`](crate::Client::websocket).
///
/// Use [`send`](Self::send) and [`next`](Self::next). It is also a [`Stream`] and a [`Sink`] of [`Message`]s, for
/// `futures::StreamExt::split`: a task that only sends does not read, and some servers stop reading when nobody reads
/// from them.
///
/// While it is read, it answers pings. If nothing has come for 30 s (or half of [`Limits::idle`], if that is
/// shorter), it sends a ping. If nothing has come for the whole of `idle`, reading fails. A send fails if the server
/// takes nothing of it for [`Limits::write_idle`]. A message of more than [`Limits::max_body`] bytes, in one frame or
/// several, is an error before it is held in memory. These limits are those of the request.
///
/// No extension is offered, so nothing is compressed. Text that is not UTF-8, a masked frame, and all else that RFC
/// 6455 forbids are errors of [`Kind::Protocol`], and the server is told in a close frame. All errors have
/// [`Phase::Upgraded`]. After a read error nothing more comes, and the connection is closed.
///
/// Dropping it closes the connection at once, and messages that were sent last may be lost. [`close`](Self::close)
/// ends it in order. Its connection counts against the client's maximum as long as it is open. (The `tungstenite`
/// crate writes messages to the `log` facade at level `trace`.)
#[must_use = "dropping a WebSocket closes its connection"]
pub struct WebSocket {
    codec: WebSocketContext,
    wire: Wire,
    state: State,
    silence: Silence,
    /// Since when the server has taken nothing of what is to be sent, and the timer that wakes the sender.
    stall: Option<Instant>,
    stall_timer: Option<ReusedTimer>,
    idle: Option<Duration>,
    write_idle: Option<Duration>,
    origin: Option<Origin>,
    protocol: Option<Box<str>>,
    close_frame: Option<CloseFrame>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// A close frame was sent at this time, and the server's has not come.
    Closing(Instant),
    /// Nothing more comes or is sent.
    Ended,
}

impl WebSocket {
    /// How long the server may take to answer a close frame.
    const CLOSE_WAIT: Duration = Duration::from_secs(10);
    /// With this many bytes to be written, the sink is not ready for more.
    const HIGH: usize = 16 << 10;
    const READ_BUFFER: usize = 16 << 10;

    fn new(io: Upgraded, limits: &Limits, origin: Option<Origin>, protocol: Option<Box<str>>) -> Self {
        // The codec must not buffer what is to be written: see `Wire`.
        let config = WebSocketConfig::default()
            .read_buffer_size(Self::READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(limits.max_body))
            .max_frame_size(Some(limits.max_body));
        Self {
            codec: WebSocketContext::new(Role::Client, Some(config)),
            wire: Wire::new(io),
            state: State::Open,
            silence: Silence::default(),
            stall: None,
            stall_timer: None,
            idle: limits.idle,
            write_idle: limits.write_idle,
            origin,
            protocol,
            close_frame: None,
        }
    }

    /// The protocol that the server chose from those that were [offered](crate::RequestBuilder::protocols).
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// The close frame of the server, once it has come with a code.
    pub fn close_frame(&self) -> Option<&CloseFrame> {
        self.close_frame.as_ref()
    }

    /// The next message. `None` after the end, and after an error.
    ///
    /// The end is a close frame with code 1000, 1001 or no code, or the answer to this side's close frame. A close
    /// frame with another code is an error of [`Kind::Closed`] that names the code. So is a connection that ends
    /// without a close frame. [`close_frame`](Self::close_frame) returns the frame, if one came.
    ///
    /// Cancel safe: dropping the future loses no message.
    #[expect(clippy::should_implement_trait, reason = "asynchronous, with the name that streams use")]
    pub fn next(&mut self) -> NextMessage<'_> {
        NextMessage(self)
    }

    /// Sends a message. Ready once the transport has taken all of it.
    ///
    /// The [`delivery`](Error::delivery) of an error is about this message: [`Delivery::NotSent`] if none of it was
    /// written. Only an answer of the server can show that it has processed a message.
    ///
    /// If the future is dropped before it is ready, the message is either not sent or queued as a whole. A queued
    /// message is sent with the next message, or while the next one is received.
    pub fn send(&mut self, message: impl Into<Message>) -> SendMessage<'_> {
        SendMessage::new(self, message.into())
    }

    /// Closes the WebSocket with code 1000, and waits up to 10 s until the server closes it too. Messages that come
    /// until then are dropped.
    ///
    /// An error means that earlier messages may not have been processed: the server did not answer the close frame,
    /// or could not be reached. It is no error if the WebSocket is closed already. If the future is dropped and the
    /// WebSocket is kept, it continues to close: [`next`](Self::next) reads until the end.
    pub fn close(&mut self) -> CloseWebSocket<'_> {
        CloseWebSocket::new(self, Ok(CloseFrame::new(1000, "")))
    }

    /// The same with another code, and a reason for people to read.
    ///
    /// # Errors
    ///
    /// [`Kind::Request`], with nothing sent, if a client must not send this code (it may send 1000 to 1003, 1007 to
    /// 1014 and 3000 to 4999), or if the reason has more than 123 bytes.
    pub fn close_with(&mut self, code: u16, reason: &str) -> CloseWebSocket<'_> {
        let frame = CloseFrame::new(code, reason);
        let frame = if !frame.may_be_sent() {
            Err("a client must not close a WebSocket with this code")
        } else if reason.len() > CloseFrame::MAX_REASON {
            Err("the reason to close a WebSocket has more than 123 bytes")
        } else {
            Ok(frame)
        };
        let frame = frame.map_err(|why| Error::invalid(Kind::Request, why).at(self.origin.as_ref()));
        CloseWebSocket::new(self, frame)
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        self.wire.wakers().register_reader(cx);
        while self.state != State::Ended {
            let budget = ready!(coop::poll_proceed(cx));
            if self.wire.owes_too_much() && self.wire.poll_out().is_pending() {
                return self.poll_silence(cx).map(|error| Some(Err(error)));
            }
            let message = match self.codec.read(&mut self.wire.codec_side(true)) {
                Ok(CodecMessage::Text(text)) => text_of(text),
                Ok(CodecMessage::Binary(bytes)) => Ok(Message::Binary(bytes)),
                Ok(CodecMessage::Close(frame)) => return Poll::Ready(self.closed(frame).map(Err)),
                Ok(CodecMessage::Ping(_) | CodecMessage::Pong(_) | CodecMessage::Frame(_)) => {
                    budget.made_progress();
                    continue;
                }
                Err(CodecError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.poll_silence(cx).map(|error| Some(Err(error)));
                }
                Err(error) => Err(error),
            };
            budget.made_progress();
            return Poll::Ready(Some(message.map_err(|error| self.fail(error))));
        }
        Poll::Ready(None)
    }

    /// Nothing has come: writes what is to be written, and checks the time limits.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        // If writing fails, reading will fail too. What came before that can still be read.
        let _ = self.wire.poll_out();
        if self.wire.take_received() {
            self.silence.end();
        }
        let now = Instant::now();
        if let State::Closing(since) = self.state {
            ready!(self.silence.poll_at(cx, now, since.checked_add(Self::CLOSE_WAIT)));
            self.end();
            let why = "the server did not answer the WebSocket's close frame within 10 s";
            return Poll::Ready(replied(Kind::Closed).text(why).at(self.origin.as_ref()));
        }
        loop {
            match ready!(self.silence.poll(cx, now, self.idle)) {
                Due::Ping => {
                    let ping = CodecMessage::Ping(Bytes::new());
                    let _ = self.codec.write(&mut self.wire.codec_side(true), ping);
                    let _ = self.wire.poll_out();
                }
                Due::End => {
                    self.end();
                    return Poll::Ready(self.timeout(Limit::Idle, self.idle, Delivery::Replied));
                }
            }
        }
    }

    /// Whether one more message can be queued.
    fn poll_ready_to_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.state != State::Open {
            let error = Error::new(Kind::Closed, Phase::Upgraded, Delivery::NotSent);
            return Poll::Ready(Err(error.text("the WebSocket is closed").at(self.origin.as_ref())));
        }
        if self.wire.waiting() < Self::HIGH {
            return Poll::Ready(Ok(()));
        }
        self.poll_sent(cx).map_err(|error| error.delivered(Delivery::NotSent))
    }

    fn queue(&mut self, message: Message) -> Result<(), Error> {
        let (kind, content) = match message {
            Message::Text(text) => (Data::Text, text.into_bytes()),
            Message::Binary(bytes) => (Data::Binary, bytes),
        };
        // A raw frame, because the text is already known to be valid UTF-8.
        let frame = CodecMessage::Frame(Frame::message(content, OpCode::Data(kind), true));
        self.codec
            .write(&mut self.wire.codec_side(false), frame)
            .map_err(|error| failure(error).0.at(self.origin.as_ref()).delivered(Delivery::NotSent))
    }

    /// Ready when everything that was queued was written.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.wire.wakers().register_writer(cx);
        let written = self.wire.poll_out();
        if self.wire.take_written() || written.is_ready() {
            self.stall = None;
        }
        if let Poll::Ready(written) = written {
            return Poll::Ready(written.map_err(|error| {
                let closed = Error::new(Kind::Closed, Phase::Upgraded, Delivery::MaybeSent);
                closed.source_from(error).at(self.origin.as_ref())
            }));
        }
        let Some(limit) = self.write_idle else { return Poll::Pending };
        let now = Instant::now();
        let since = *self.stall.get_or_insert(now);
        let Some(ends) = since.checked_add(limit) else { return Poll::Pending };
        ready!(self.stall_timer.get_or_insert_with(|| ReusedTimer::new(now)).poll(cx, ends, now));
        self.end();
        Poll::Ready(Err(self.timeout(Limit::WriteIdle, Some(limit), Delivery::MaybeSent)))
    }

    /// Sends a close frame, if none was sent.
    fn start_close(&mut self, frame: &CloseFrame) {
        if self.state == State::Open {
            self.state = State::Closing(Instant::now());
            self.silence.end();
            let _ = self.codec.close(&mut self.wire.codec_side(false), Some(codec_frame(frame)));
        }
    }

    /// The server's close frame has come. It is answered, unless it is itself an answer.
    fn closed(&mut self, frame: Option<CodecCloseFrame>) -> Option<Error> {
        let is_answer = matches!(self.state, State::Closing(_));
        let frame = frame.map(|frame| CloseFrame::new(frame.code.into(), frame.reason.as_str()));
        let _ = self.codec.flush(&mut self.wire.codec_side(false));
        self.end();
        let frame = self.close_frame.insert(frame?);
        if is_answer || frame.is_normal() {
            return None;
        }
        let why = format!("the server closed the WebSocket with code {}", frame.code);
        Some(replied(Kind::Closed).message(why).at(self.origin.as_ref()))
    }

    /// Reading has failed. If this is the server's fault, the server is told.
    fn fail(&mut self, error: CodecError) -> Error {
        let (error, frame) = failure(error);
        if let Some(frame) = frame {
            let _ = self.codec.close(&mut self.wire.codec_side(false), Some(codec_frame(&frame)));
        }
        self.end();
        error.at(self.origin.as_ref())
    }

    fn end(&mut self) {
        self.state = State::Ended;
        self.wire.end();
    }

    fn timeout(&self, limit: Limit, duration: Option<Duration>, delivery: Delivery) -> Error {
        let error = Error::timeout(limit, duration.unwrap_or_default(), Phase::Upgraded);
        error.delivered(delivery).at(self.origin.as_ref())
    }
}

fn text_of(text: Utf8Bytes) -> Result<Message, CodecError> {
    let text = ByteString::try_from(Bytes::from(text));
    text.map(Message::Text).map_err(|error| CodecError::Utf8(error.to_string()))
}

fn codec_frame(frame: &CloseFrame) -> CodecCloseFrame {
    CodecCloseFrame { code: frame.code.into(), reason: Utf8Bytes::from(&*frame.reason) }
}

impl Stream for WebSocket {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_message(cx)
    }
}

/// Closing sends the close frame. The server's answer ends the stream.
impl Sink<Message> for WebSocket {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_ready_to_send(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.queue(message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.state == State::Ended {
            return Poll::Ready(Ok(()));
        }
        self.poll_sent(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.start_close(&CloseFrame::new(1000, ""));
        self.poll_flush(cx)
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("origin", &self.origin)
            .field("protocol", &self.protocol)
            .field("state", &self.state)
            .field("close_frame", &self.close_frame)
            .finish_non_exhaustive()
    }
}
