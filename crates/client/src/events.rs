use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytestring::ByteString;
use futures_core::Stream;

use crate::{
    error::Error,
    reply_body::ReplyBody,
    sse::{Parser, TooLarge},
};

/// One server-sent event.
///
/// Its texts are parts of the bytes they came in where they came in one line, and were not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The type; `message` where the server gave none.
    pub event: ByteString,
    /// The data, its lines joined by line feeds.
    pub data: ByteString,
    /// The last id the server gave, with this event or before it; empty if none.
    pub id: ByteString,
}

/// The events of a reply, from [`Reply::events`](crate::Reply::events): a [`Stream`], and [`next`](Self::next).
///
/// Events are given as the server sent them; what the last one looks like is the caller's to know, and an end without
/// it is the caller's to notice: a connection that is cut is an error here, but some servers end a broken answer as
/// properly as a whole one.
///
/// [`Limits::idle`](crate::Limits::idle) runs between pieces of the body, so comments and half events count as life.
/// [`comments`](Self::comments) tells how many there were, for a limit that counts them, or does not.
///
/// ```no_run
/// # async fn run(client: outbound_client::Client) -> Result<(), outbound_client::Error> {
/// let mut events = client.post("/chat/completions").body("{\"stream\":true}").send().await?.events()?;
/// while let Some(event) = events.next().await {
///     println!("{}", event?.data);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping events closes their connection"]
pub struct Events {
    body: ReplyBody,
    parser: Parser,
    ended: bool,
}

impl Events {
    pub(crate) fn new(body: ReplyBody) -> Self {
        Self { body, parser: Parser::default(), ended: false }
    }

    /// The next event; `None` at the end of the body, and after an error.
    ///
    /// Cancel safe: dropping the future loses no event.
    #[expect(
        clippy::should_implement_trait,
        reason = "the asynchronous one, under the name that streams give it"
    )]
    pub fn next(&mut self) -> NextEvent<'_> {
        NextEvent(self)
    }

    /// How many comments have come. Servers send them to show that they are alive.
    pub fn comments(&self) -> u64 {
        self.parser.comments
    }

    /// How long the server last asked to wait before connecting again.
    pub fn retry(&self) -> Option<Duration> {
        self.parser.retry
    }

    /// Whether the body ended inside an event, which is then not given, by the rules of the format.
    pub fn ended_inside_event(&self) -> bool {
        self.ended && self.parser.is_inside_event()
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Event, Error>>> {
        while !self.ended {
            let max = self.body.limits().max_event;
            match self.parser.next(max) {
                Ok(Some(event)) => return Poll::Ready(Some(Ok(event))),
                Ok(None) => {}
                Err(TooLarge) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(self.body.fail(Error::too_large("max_event", max)))));
                }
            }
            match ready!(self.body.poll_chunk(cx)) {
                Some(Ok(chunk)) => self.parser.feed(chunk),
                Some(Err(error)) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => self.ended = true,
            }
        }
        Poll::Ready(None)
    }
}

impl Stream for Events {
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(cx)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("body", &self.body)
            .field("comments", &self.comments())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// The next event, from [`Events::next`]. Dropping it loses nothing.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct NextEvent<'a>(&'a mut Events);

impl Future for NextEvent<'_> {
    type Output = Option<Result<Event, Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_event(cx)
    }
}
