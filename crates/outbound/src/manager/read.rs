//! The reply to one attempt, read to its end, and what it means.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, LOCATION},
};
use outbound_client as client;
use outbound_provider::{Fault, RequestFacts, StreamItem, StreamReader, Usage};
use outbound_timeout::TimeoutExt;
use tokio::time::Instant;

use super::{
    attempt::{Answer, Failure},
    item::{Item, ItemSender},
    observe::{Observed, Step},
    reply::Reply,
    scope::Scope,
    wall_clock::WallClock,
};

/// How long a body may take to end after the provider's own end marker.
const LINGER: Duration = Duration::from_millis(100);

/// The most that is read of the body of an error, and how long it may take.
const ERROR_BODY: usize = 64 << 10;
const ERROR_BODY_TIME: Duration = Duration::from_secs(2);

/// The most that a body may have with its coding undone.
const MOST_DECODED: usize = 64 << 20;

/// How long the body of a refusal may take before others are told of the refusal without it.
const ERROR_BODY_AT_ONCE: Duration = Duration::from_millis(50);

/// Reads the reply to one attempt.
pub(super) struct Reader<'a> {
    pub(super) scope: &'a Scope,
    pub(super) clock: &'a WallClock,
    /// What the request asks for.
    pub(super) facts: &'a RequestFacts,
    pub(super) sent_at: Instant,
    /// The instant by which a stream has to bring its first item, and how long that is.
    pub(super) first_item: (Option<Instant>, Duration),
    /// Told of the first item of a stream.
    pub(super) observed: Option<Observed<'a>>,
    /// Where the items of a stream go that is handed on as it comes.
    pub(super) items: Option<&'a ItemSender>,
}

impl Reader<'_> {
    /// Reads a reply to its end.
    pub(super) async fn read(&self, mut reply: client::Reply) -> Result<Answer, Failure> {
        let status = reply.status();
        let is_stream = self.facts.stream && is_event_stream(reply.headers());
        // A copy is a good part of what a small reply costs. Events go by the content type.
        let mut headers =
            if is_stream { reply.headers().clone() } else { std::mem::take(reply.headers_mut()) };
        let provider = &self.scope.account.provider;
        let signals = provider.signals(&headers, self.clock.now());
        // What is rare is boxed, so that the task of a request is small.
        let read = if !status.is_success() {
            Err(Box::pin(self.read_refusal(reply, &mut headers)).await)
        } else if is_stream {
            Box::pin(self.read_stream(reply)).await
        } else {
            self.read_body(reply, &mut headers).await
        };
        match read {
            Ok((body, usage)) => {
                let reply = Reply { status, headers, body };
                if let Some(items) = self.items.filter(|_| !is_stream) {
                    items.send(Item { text: reply.content().unwrap_or_default(), event: None });
                }
                Ok(Answer { reply, usage, signals })
            }
            Err(failure) => Err(Failure { signals, status: Some(status), ..failure }),
        }
    }

    /// An error status counts from its head on; its body is bounded in size and time.
    async fn read_refusal(&self, reply: client::Reply, headers: &mut HeaderMap) -> Failure {
        let provider = &self.scope.account.provider;
        let status = reply.status();
        let mut body = std::pin::pin!(reply.bytes_up_to(ERROR_BODY, ERROR_BODY_TIME));
        let body = match body.as_mut().timeout(ERROR_BODY_AT_ONCE).await {
            Ok(body) => body,
            Err(_) => {
                let fault = provider.classify(status, headers, b"", self.clock.now());
                self.scope.refused_by_head(&fault, Instant::now());
                body.await
            }
        };
        let body = undo_coding(headers, body, ERROR_BODY);
        let mut fault = provider.classify(status, headers, &body, self.clock.now());
        if status.is_redirection()
            && let Some(to) = headers.get(LOCATION).and_then(|location| location.to_str().ok())
        {
            // Without a query, which may be anybody's secret.
            let to = to.split(['?', '#']).next().unwrap_or_default();
            let message = format!("the server redirects to {to:.200}, which is not followed");
            fault.message = Some(self.scope.account.redact(message));
        }
        let body = self.scope.account.redact_body(body);
        let reply = Box::new(Reply { status, headers: headers.clone(), body });
        Failure { reply: Some(reply), ..Failure::of_fault(fault) }
    }

    async fn read_body(
        &self,
        reply: client::Reply,
        headers: &mut HeaderMap,
    ) -> Result<(Bytes, Option<Usage>), Failure> {
        let status = reply.status();
        let body = reply.bytes().await.map_err(Failure::of_client)?;
        let body = undo_coding(headers, body, MOST_DECODED);
        let provider = &self.scope.account.provider;
        match provider.read_success(self.facts, status, headers, &body, self.clock.now()) {
            Ok(success) => Ok((success.body.map_or(body, Bytes::from), success.usage)),
            Err(fault) => {
                let body = self.scope.account.redact_body(body);
                let reply = Box::new(Reply { status, headers: headers.clone(), body });
                Err(Failure { reply: Some(reply), ..Failure::of_fault(fault) })
            }
        }
    }

    async fn read_stream(&self, reply: client::Reply) -> Result<(Bytes, Option<Usage>), Failure> {
        let reader = self.scope.account.provider.stream().expect_choices(self.facts.choices);
        // A reader that asks for nothing before it has read anything has no mark to wait for: its end is that of the body.
        let marked = !reader.is_complete();
        let events = reply.events().map_err(Failure::of_client)?;
        let mut stream = Streamed {
            scope: self.scope,
            sent_at: self.sent_at,
            events,
            reader,
            marked,
            items: self.items,
            before: Vec::new(),
        };
        // Comments and pings keep the connection's idle limit content; only an item ends the wait for the first, which
        // has gone on since the request was sent.
        let (first_item, limit) = self.first_item;
        let read = match stream.read(true).deadline(first_item).await {
            Ok(Ok(true)) => {
                if let Some(observed) = &self.observed {
                    observed.tell(Step::Item);
                }
                stream.read(false).await
            }
            Ok(read) => read,
            Err(_) => {
                let message = format!("no item of the stream within {limit:?} (first item limit)");
                Err(Failure::stalled(message))
            }
        };
        let usage = stream.reader.usage();
        // What happens to the rest of a body whose answer is whole makes it no less so.
        if let Err(failure) = read
            && !(failure.source.is_some() && stream.is_whole())
        {
            return Err(Failure { partial: Some(stream.reader.text()), ..failure });
        }
        match stream.reader.finish() {
            Ok(body) => {
                // Its proper end makes the connection fit to be used again.
                let _ = stream.events.next().timeout(LINGER).await;
                Ok((body.to_string().into(), usage))
            }
            Err(truncated) => {
                let fault = Fault::new(truncated.class());
                Err(Failure { partial: Some(truncated.text), ..Failure::of_fault(fault) })
            }
        }
    }
}

/// A reply that comes as events.
struct Streamed<'a> {
    scope: &'a Scope,
    sent_at: Instant,
    events: client::Events,
    reader: StreamReader,
    /// Whether this provider's streams end with a mark.
    marked: bool,
    items: Option<&'a ItemSender>,
    /// Events before the first item: they go with it, or nowhere.
    before: Vec<Item>,
}

impl Streamed<'_> {
    /// Whether the mark of the end has come.
    fn is_whole(&self) -> bool {
        self.marked && self.reader.is_complete()
    }

    /// Reads to the end, or to the next item: says whether it stopped at one.
    async fn read(&mut self, until_item: bool) -> Result<bool, Failure> {
        // An answer that is whole may be followed by a count of tokens and an end marker, but need not be.
        let mut linger = None;
        loop {
            let event = if self.is_whole() {
                let until = *linger.get_or_insert_with(|| Instant::now() + self.linger());
                self.events.next().deadline(until).await.unwrap_or_default()
            } else {
                self.events.next().await
            };
            let Some(event) = event else { return Ok(false) };
            let event = event.map_err(Failure::of_client)?;
            self.scope.heard(self.sent_at);
            let item = self.reader.feed(&event.event, &event.data).map_err(Failure::of_fault)?;
            let is_item = matches!(item, StreamItem::Delta(_));
            match item {
                StreamItem::Finished => return Ok(false),
                StreamItem::Delta(text) => self.hand_on(text, event, true),
                _ => self.hand_on(String::new(), event, false),
            }
            if is_item && until_item {
                return Ok(true);
            }
        }
    }

    /// What comes before the first item goes with it, or nowhere: until then another attempt may begin.
    fn hand_on(&mut self, text: String, event: client::Event, is_item: bool) {
        let Some(items) = self.items else { return };
        let event = Some(event);
        self.before.push(Item { text, event });
        if is_item || items.has_begun() {
            self.before.drain(..).for_each(|item| items.send(item));
        }
    }

    /// How long the rest of a whole answer is waited for: longer where the count of tokens has not come.
    fn linger(&self) -> Duration {
        if self.reader.usage().is_some() { LINGER } else { LINGER * 10 }
    }
}

/// Undoes a coding that was not asked for, where the feature for it is compiled in. Some bodies only say that they have one:
/// these stay as they are, and so does what cannot be undone.
fn undo_coding(headers: &mut HeaderMap, body: Bytes, max: usize) -> Bytes {
    if !headers.contains_key(CONTENT_ENCODING) {
        return body;
    }
    match client::decode(headers, &body, max) {
        Some(plain) => {
            headers.remove(CONTENT_ENCODING);
            plain
        }
        None => body,
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind =
        headers.get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.trim_start().get(..17).is_some_and(|kind| kind.eq_ignore_ascii_case("text/event-stream"))
}

#[cfg(test)]
mod tests;
