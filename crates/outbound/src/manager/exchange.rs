//! One attempt: a request out, a whole reply in, and what it means.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use outbound_client as client;
use outbound_client::{Delivery, Limits};
use outbound_limiter::Cost;
use outbound_provider::{Class, Fault, Signals, StreamItem, StreamReader, Terminal, Usage};
use outbound_timeout::TimeoutExt;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    clock::WallClock,
    error::{Error, ErrorKind},
    manager::Settings,
    outcome::Reply,
    request::{Body, Request},
    scope::Scope,
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How long a body may take to end after the provider's own end marker.
const LINGER: Duration = Duration::from_millis(100);

/// A request made ready: everything that does not change from one attempt to the next.
#[derive(Debug)]
pub(crate) struct Prepared {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: bytes::Bytes,
    limits: Limits,
    /// Set for a request whose reply is to come as a stream: how long it may take to its first item.
    first_item: Option<Duration>,
    /// How many answers it asks for.
    choices: usize,
    pub(crate) cost: Cost,
    /// Sending it twice does nothing twice: it only reads, or the provider promises to honour its key.
    pub(crate) repeatable: bool,
}

/// What came back of an attempt that succeeded.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) reply: Reply,
    pub(crate) usage: Option<Usage>,
    pub(crate) signals: Signals,
}

/// What came back of one that did not.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) fault: Fault,
    pub(crate) delivery: Delivery,
    pub(crate) signals: Signals,
    reply: Option<Box<Reply>>,
    partial: Option<String>,
    source: Option<client::Error>,
}

impl Prepared {
    pub(crate) fn new(
        request: Request,
        scope: &Scope,
        settings: &Settings,
        key: impl FnOnce() -> HeaderValue,
    ) -> Result<Self, Error> {
        let Request { method, path, mut headers, body, cost, idempotency_key, .. } = request;
        let (body, parsed) = match body {
            Body::Empty => (bytes::Bytes::new(), Value::Null),
            Body::Unserializable(why) => {
                return Err(Error::new(ErrorKind::Invalid, format!("the body is no JSON: {why}")));
            }
            Body::Json(json) => match serde_json::from_slice(&json) {
                Ok(parsed) => (json, parsed),
                Err(why) => {
                    return Err(Error::new(ErrorKind::Invalid, format!("the body is no JSON: {why}")));
                }
            },
        };
        let path = path.unwrap_or_else(|| scope.provider.chat_path().to_owned());
        if method == Method::POST {
            // The caller's own, however it was given, goes before one of the manager's making.
            if let Some(key) = idempotency_key {
                headers.insert(IDEMPOTENCY_KEY, key);
            }
            headers.entry(IDEMPOTENCY_KEY).or_insert_with(key);
            headers.entry(http::header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        }
        let streamed = scope.provider.is_stream(&parsed);
        let mut limits = settings.limits();
        if streamed {
            limits = limits.first_byte(settings.first_item_timeout);
        }
        let cost = cost.unwrap_or_else(|| {
            let estimate = scope.provider.estimate(&parsed);
            Cost::request().input_tokens(estimate.input).output_tokens(estimate.output)
        });
        let choices =
            parsed.get("n").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()).unwrap_or(1);
        let repeatable = method.is_safe() || scope.provider.documents_idempotency();
        let first_item = streamed.then_some(settings.first_item_timeout);
        Ok(Self { method, path, headers, body, limits, first_item, choices, cost, repeatable })
    }

    /// Sends the request once and reads the reply to its end, which has to come before the deadline.
    pub(crate) async fn exchange(
        &self,
        scope: &Scope,
        clock: &WallClock,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let sent_at = Instant::now();
        let limits = self.limits.total(deadline.saturating_duration_since(sent_at));
        let mut builder = scope.client.request(self.method.clone(), self.path.as_str()).limits(limits);
        for (name, value) in &self.headers {
            builder = builder.header(name, value);
        }
        if !self.body.is_empty() {
            builder = builder.body(self.body.clone());
        }
        let reply = builder.send().await.map_err(Failure::of_client)?;
        let (status, headers) = (reply.status(), reply.headers().clone());
        scope.replied();
        let signals = scope.provider.signals(&headers, clock.now());
        if !status.is_success() {
            // The status decides, even where the body breaks off.
            let body = reply.bytes().await.unwrap_or_default();
            let fault = scope.provider.classify(status, &headers, &body, clock.now());
            let reply = Box::new(Reply { status, headers, body });
            return Err(Failure { signals, reply: Some(reply), ..Failure::of_fault(fault) });
        }
        let answer = match self.first_item.filter(|_| is_event_stream(&headers)) {
            Some(limit) => read_stream(scope, reply, (sent_at.checked_add(limit), limit), self.choices).await,
            None => read_body(scope, reply, &headers, clock).await,
        };
        match answer {
            Ok((body, usage)) => Ok(Answer { reply: Reply { status, headers, body }, usage, signals }),
            Err(failure) => Err(Failure { signals, ..failure }),
        }
    }
}

async fn read_body(
    scope: &Scope,
    reply: client::Reply,
    headers: &HeaderMap,
    clock: &WallClock,
) -> Result<(bytes::Bytes, Option<Usage>), Failure> {
    let status = reply.status();
    let body = reply.bytes().await.map_err(Failure::of_client)?;
    match scope.provider.check_body(headers, &body, clock.now()) {
        Ok(parsed) => {
            let usage = parsed.and_then(|parsed| scope.provider.usage(&parsed));
            Ok((body, usage))
        }
        Err(fault) => {
            let reply = Box::new(Reply { status, headers: headers.clone(), body });
            Err(Failure { reply: Some(reply), ..Failure::of_fault(fault) })
        }
    }
}

async fn read_stream(
    scope: &Scope,
    reply: client::Reply,
    (first_item, limit): (Option<Instant>, Duration),
    choices: usize,
) -> Result<(bytes::Bytes, Option<Usage>), Failure> {
    let reader = scope.provider.stream().expect_choices(choices);
    // A reader that asks for nothing before it has read anything has no mark to wait for: its end is that of the body.
    let marked = !reader.is_complete();
    let mut stream = Streamed { events: reply.events().map_err(Failure::of_client)?, reader, marked };
    // Comments and pings keep the connection's idle limit content; only an item ends the wait for the first, which has
    // gone on since the request was sent.
    let read = match stream.read(true).deadline(first_item).await {
        Ok(Ok(true)) => stream.read(false).await,
        Ok(read) => read,
        Err(_) => Err(Failure::stalled(format!("no item of the stream within {limit:?} (first item limit)"))),
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

/// A reply that comes as events.
struct Streamed {
    events: client::Events,
    reader: StreamReader,
    /// Whether this provider's streams end with a mark.
    marked: bool,
}

impl Streamed {
    /// Whether the mark of the end has come.
    fn is_whole(&self) -> bool {
        self.marked && self.reader.is_complete()
    }

    /// Reads to the end, or to the next item: says whether it stopped at one.
    async fn read(&mut self, until_item: bool) -> Result<bool, Failure> {
        loop {
            // An answer that is whole may be followed by a count of tokens and an end marker, but need not be.
            let event = if self.is_whole() {
                self.events.next().timeout(LINGER).await.unwrap_or_default()
            } else {
                self.events.next().await
            };
            let Some(event) = event else { return Ok(false) };
            let event = event.map_err(Failure::of_client)?;
            match self.reader.feed(&event.event, &event.data) {
                Ok(StreamItem::Finished) => return Ok(false),
                Ok(StreamItem::Delta(_)) if until_item => return Ok(true),
                Ok(_) => {}
                Err(fault) => return Err(Failure::of_fault(fault)),
            }
        }
    }
}

impl Failure {
    fn of_fault(fault: Fault) -> Self {
        let kind = match fault.class {
            Class::RateLimited | Class::RampLimited => ErrorKind::RateLimited,
            Class::Overloaded => ErrorKind::Overloaded,
            Class::StreamBroken => ErrorKind::StreamBroken,
            Class::QuotaSpent => ErrorKind::QuotaSpent,
            Class::Terminal(Terminal::Auth) => ErrorKind::Auth,
            Class::Terminal(Terminal::Forbidden) if fault.scope_stop => ErrorKind::Auth,
            Class::Terminal(_) => ErrorKind::Rejected,
            _ => ErrorKind::Server,
        };
        Self {
            kind,
            fault,
            delivery: Delivery::Replied,
            signals: Signals::default(),
            reply: None,
            partial: None,
            source: None,
        }
    }

    fn of_client(error: client::Error) -> Self {
        let (kind, class) = match (error.kind(), error.delivery()) {
            (client::Kind::Config | client::Kind::Request, _) => {
                (ErrorKind::Invalid, Class::Terminal(Terminal::BadRequest))
            }
            (client::Kind::TooLarge, _) => (ErrorKind::Rejected, Class::Terminal(Terminal::TooLarge)),
            (client::Kind::Timeout, Delivery::NotSent) => (ErrorKind::Timeout, Class::Transient),
            (client::Kind::Timeout, _) => (ErrorKind::Timeout, Class::Ambiguous),
            (_, Delivery::NotSent) => (ErrorKind::Connection, Class::Transient),
            (_, _) => (ErrorKind::Connection, Class::Ambiguous),
        };
        let delivery = error.delivery();
        Self { kind, delivery, source: Some(error), ..Self::of_fault(Fault::new(class)) }
    }

    fn stalled(message: String) -> Self {
        let mut fault = Fault::new(Class::StreamBroken);
        fault.message = Some(message);
        Self { kind: ErrorKind::Timeout, ..Self::of_fault(fault) }
    }

    /// Whether the provider provably did not process the request: it never had it, or refused it for its rate with a
    /// status. The same refusal inside a stream may follow half an answer.
    pub(crate) fn was_not_processed(&self) -> bool {
        let refused = matches!(self.fault.class, Class::RateLimited | Class::RampLimited | Class::QuotaSpent);
        self.delivery == Delivery::NotSent || (refused && self.is_refusal())
    }

    /// Whether it is the request's own deadline that passed: the one limit on everything that an exchange has.
    pub(crate) fn is_past_deadline(&self) -> bool {
        let limit = self.source.as_ref().and_then(client::Error::limit);
        limit.is_some_and(|(limit, _)| limit == client::Limit::Total)
    }

    /// Whether it is a reply with an error status.
    pub(crate) fn is_refusal(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| !reply.status.is_success())
    }

    /// What happened, in one line: for the error, and for the record of the last attempt.
    pub(crate) fn message(&self) -> String {
        match (&self.source, &self.reply) {
            (Some(error), _) => in_full(error),
            (None, Some(reply)) => format!("status {}: {}", reply.status.as_u16(), self.fault),
            (None, None) => self.fault.to_string(),
        }
    }

    pub(crate) fn into_error(self) -> Error {
        let error = Error::new(self.kind, self.message()).with_reply(self.reply).with_partial(self.partial);
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}

/// An error with its causes, on one line.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind =
        headers.get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.trim_start().to_ascii_lowercase().starts_with("text/event-stream")
}
