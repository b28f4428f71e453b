//! A stream of server-sent events from the body of a reply.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytestring::ByteString;
use futures_core::Stream;

use crate::{
    error::{Error, Kind},
    reply_body::ReplyBody,
    sse::{Parser, TooLarge},
};

/// One server-sent event.
///
/// If a field came in one line, its text is a part of the received bytes and was not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The event's type; `message` if the server gave none.
    pub event: ByteString,
    /// The data. Its lines are joined by line feeds.
    pub data: ByteString,
    /// The last id that the server gave, with this event or before it. Empty if there was none.
    pub id: ByteString,
}

/// The events of a reply, from [`Reply::events`](crate::Reply::events): a [`Stream`], and [`next`](Self::next).
///
/// Events are given as the server sent them. A connection that is cut is an error. But some servers end an incomplete
/// answer in the same way as a complete one. Use [`until`](Self::until) to say which event is the last one; then an
/// end without that event is an error too.
///
/// [`Limits::idle`](crate::Limits::idle) limits the time between pieces of the body, so comments and partial events
/// restart it. [`comments`](Self::comments) counts the comments, for callers that want a stricter limit.
///
/// ```no_run
/// # async fn run(client: outbound_client::Client) -> Result<(), outbound_client::Error> {
/// let request = client.post("/chat/completions").body("{\"stream\":true}");
/// let mut events = request.send().await?.events()?.until(|event| event.data == "[DONE]");
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
    is_last: Option<IsLast>,
    last: Option<Event>,
    // How often to check again for the end of the body, once the last event has come.
    looks: u8,
    ended: bool,
}

type IsLast = Box<dyn FnMut(&Event) -> bool + Send + Sync>;

impl Events {
    // A connection's task hands over one piece at a time. If the end has arrived right after the last event, it
    // becomes visible only after that task has run once or twice more.
    const LOOKS: u8 = 4;

    pub(crate) fn new(body: ReplyBody) -> Self {
        Self { body, parser: Parser::default(), is_last: None, last: None, looks: Self::LOOKS, ended: false }
    }

    /// Ends the stream at the first event for which `is_last` returns `true`. The stream gives `None` once that event
    /// has come. If the body ends before it, the stream gives an error of
    /// [`Kind::Incomplete`](crate::Kind::Incomplete). So an answer that broke off cannot pass for a complete one.
    ///
    /// The last event itself is not given by the stream, because in most formats it is a marker and not an item
    /// (`[DONE]` is not JSON). [`last`](Self::last) returns it. If the body ends with it, the connection can be used
    /// again.
    pub fn until(mut self, is_last: impl FnMut(&Event) -> bool + Send + Sync + 'static) -> Self {
        self.is_last = Some(Box::new(is_last));
        self
    }

    /// The event that ended the stream, if [`until`](Self::until) was used and the event has come.
    pub fn last(&self) -> Option<&Event> {
        self.last.as_ref()
    }

    /// The next event; `None` at the end, and after an error.
    ///
    /// Cancel safe: dropping the future loses no event.
    #[expect(clippy::should_implement_trait, reason = "asynchronous, with the name that streams use")]
    pub fn next(&mut self) -> NextEvent<'_> {
        NextEvent(self)
    }

    /// How many comments have come. Servers send comments to show that they are alive.
    pub fn comments(&self) -> u64 {
        self.parser.comments
    }

    /// The last reconnection time that the server asked for.
    pub fn retry(&self) -> Option<Duration> {
        self.parser.retry
    }

    /// Whether the body ended inside an event. By the rules of the format, such an event is not given.
    pub fn ended_inside_event(&self) -> bool {
        self.ended && self.last.is_none() && self.parser.is_inside_event()
    }

    /// Reads the end of the body, if it has arrived. Then the connection can be used again.
    #[cold]
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Event, Error>>> {
        while !self.ended && self.looks > 0 {
            self.looks -= 1;
            match self.body.poll_chunk(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(_) => self.ended = true,
                Poll::Pending => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
        self.ended = true;
        Poll::Ready(None)
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Event, Error>>> {
        if self.last.is_some() {
            return self.poll_end(cx);
        }
        while !self.ended {
            if self.parser.has_more() {
                let max = self.body.limits().max_event;
                match self.parser.next(max) {
                    Ok(Some(event)) if self.is_last.is_none() => return Poll::Ready(Some(Ok(event))),
                    Ok(Some(event)) => {
                        if self.is_last.as_mut().is_some_and(|is_last| is_last(&event)) {
                            self.last = Some(event);
                            return self.poll_end(cx);
                        }
                        return Poll::Ready(Some(Ok(event)));
                    }
                    Ok(None) => {}
                    Err(TooLarge) => {
                        self.ended = true;
                        return Poll::Ready(Some(Err(self.body.fail(Error::too_large("max_event", max)))));
                    }
                }
            }
            match ready!(self.body.poll_chunk(cx)) {
                Some(Ok(chunk)) => self.parser.feed(chunk),
                Some(Err(error)) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    self.ended = true;
                    if self.is_last.is_some() {
                        let why = "the events ended before the last one";
                        return Poll::Ready(Some(Err(self
                            .body
                            .fail(Error::body(Kind::Incomplete).text(why)))));
                    }
                }
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
