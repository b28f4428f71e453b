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
/// Events are given as the server sent them. A connection that is cut is an error, but some servers end a broken answer
/// as properly as a whole one: say with [`until`](Self::until) what the last event looks like, and an end without it is
/// an error too.
///
/// [`Limits::idle`](crate::Limits::idle) runs between pieces of the body, so comments and half events count as life.
/// [`comments`](Self::comments) tells how many there were, for a limit that counts them, or does not.
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
    // How often to look again for the body's end, once the last event has come.
    looks: u8,
    ended: bool,
}

type IsLast = Box<dyn FnMut(&Event) -> bool + Send + Sync>;

impl Events {
    // A connection's task hands over one piece at a time, so an end that has arrived behind the last event shows only
    // after it had a turn, or two.
    const LOOKS: u8 = 4;

    pub(crate) fn new(body: ReplyBody) -> Self {
        Self { body, parser: Parser::default(), is_last: None, last: None, looks: Self::LOOKS, ended: false }
    }

    /// Ends the stream at the first event for which `is_last` is true: with `None` once that has come, and with an error
    /// of [`Kind::Incomplete`](crate::Kind::Incomplete) if the body ends before it. So an answer that broke off cannot
    /// pass for a whole one.
    ///
    /// The last event is not given with the others, for in most formats it is a mark and not an item (`[DONE]` is no
    /// JSON). [`last`](Self::last) has it. If the body ends with it, the connection can be used again.
    pub fn until(mut self, is_last: impl FnMut(&Event) -> bool + Send + Sync + 'static) -> Self {
        self.is_last = Some(Box::new(is_last));
        self
    }

    /// The event that ended the stream, once it has come, from [`until`](Self::until).
    pub fn last(&self) -> Option<&Event> {
        self.last.as_ref()
    }

    /// The next event; `None` at the end, and after an error.
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
        self.ended && self.last.is_none() && self.parser.is_inside_event()
    }

    /// Lets the body end, if its end is there: then its connection can be used again.
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
