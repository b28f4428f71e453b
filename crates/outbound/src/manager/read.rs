//! Reads the reply to one attempt to its end, and classifies it.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, LOCATION},
};
use outbound_client as client;
use outbound_provider::{Delta, Framing, Provider, RequestFacts, Usage};
use outbound_timeout::TimeoutExt;
use tokio::time::Instant;

use super::{
    attempt::{Answer, Failure},
    emitter::EventEmitter,
    item::{Item, ItemSender},
    reply::Reply,
    scope::Scope,
    wall_clock::WallClock,
};

/// The largest part of an error body that is read, and how long it may take.
const ERROR_BODY: usize = 64 << 10;
const ERROR_BODY_TIME: Duration = Duration::from_secs(2);

/// The largest body after decoding.
const MAX_DECODED: usize = 64 << 20;

/// How long the body of a refusal may take before the gate closes without it.
const ERROR_BODY_AT_ONCE: Duration = Duration::from_millis(50);

/// Reads the reply to one attempt.
pub(super) struct Reader<'a> {
    pub(super) scope: &'a Scope,
    pub(super) clock: &'a WallClock,
    /// What the request asks for.
    pub(super) facts: &'a RequestFacts,
    /// Whether a stream of it is one array of JSON.
    pub(super) is_array: bool,
    pub(super) sent_at: Instant,
    /// The instant by which a stream has to bring its first item, and the limit itself.
    pub(super) first_item: (Option<Instant>, Duration),
    /// Receives the event of the first item of a stream.
    pub(super) emitter: Option<&'a EventEmitter>,
    /// Where the items of a stream are sent, for [`RequestManager::stream`](super::RequestManager::stream).
    pub(super) items: Option<&'a ItemSender>,
}

impl Reader<'_> {
    /// Reads a reply to its end.
    pub(super) async fn read(&self, mut reply: client::Reply) -> Result<Answer, Failure> {
        let status = reply.status();
        let framing = self.framing(reply.headers()).filter(|_| status.is_success());
        // A copy of the headers would be a large part of the cost of a small reply. But `events()` needs their content
        // type.
        let mut headers =
            if framing.is_some() { reply.headers().clone() } else { std::mem::take(reply.headers_mut()) };
        let provider = &self.scope.account.provider;
        let signals = provider.signals(&headers, self.clock.now());
        // Rare cases are boxed, so that the task of a request is small.
        let read = if !status.is_success() {
            Err(Box::pin(self.read_refusal(reply, &mut headers)).await)
        } else if let Some(framing) = framing {
            Box::pin(self.read_stream(reply, framing)).await
        } else {
            self.read_body(reply, &mut headers).await
        };
        match read {
            Ok((body, usage)) => {
                if let Some(items) = self.items.filter(|_| framing.is_none()) {
                    items.send(whole_item(provider, usage, &body));
                }
                Ok(Answer { reply: Reply { status, headers, body }, usage, signals })
            }
            Err(failure) => Err(Failure { signals, status: Some(status), ..failure }),
        }
    }

    /// How the parts of a streamed reply are told apart. `None`: the reply is read as a whole.
    fn framing(&self, headers: &HeaderMap) -> Option<Framing> {
        match Framing::of(headers, b"") {
            Some(Framing::Events) => (self.facts.stream || self.items.is_some()).then_some(Framing::Events),
            None if self.facts.stream && self.is_array => Some(Framing::Array),
            framing => framing.filter(|_| self.facts.chat),
        }
    }

    /// Reads an error reply. The status takes effect at once; the body is limited in size and time.
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
            // Without the query, which may hold a secret.
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
        let body = undo_coding(headers, body, MAX_DECODED);
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
}

/// Decodes a body whose coding was not asked for, if the feature for it is compiled in. Some bodies only claim to have
/// a coding. They stay as they are, and so do bodies that cannot be decoded.
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

/// An answer that came in one piece, as one item.
pub(super) fn whole_item(provider: &Provider, usage: Option<Usage>, body: &Bytes) -> Item {
    let mut delta = Delta::default();
    delta.text = provider.text_of(body).unwrap_or_default();
    Item { delta, usage, data: String::from_utf8_lossy(body).into_owned() }
}

mod stream;

#[cfg(test)]
mod tests;
