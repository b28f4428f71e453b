//! The wire: sends an attempt with the client.

use std::time::Duration;

use http::header::CONTENT_TYPE;
use tokio::time::Instant;

use super::{
    attempt::{Answer, Attempt, Failure},
    destination::Destination,
    emitter::EventEmitter,
    item::ItemSender,
    prepared::IDEMPOTENCY_KEY,
    read::Reader,
    wall_clock::WallClock,
};

/// How long a probe may take to connect.
const PROBE: Duration = Duration::from_secs(3);

/// Sends attempts with the client of their account.
pub(crate) struct Wire<'a> {
    pub(crate) clock: &'a WallClock,
    /// Receives the event of the first item of a stream.
    pub(crate) emitter: Option<&'a EventEmitter>,
    /// Where the items of a stream are sent, for [`RequestManager::stream`](super::RequestManager::stream).
    pub(crate) items: Option<&'a ItemSender>,
}

impl Attempt for Wire<'_> {
    async fn send(&self, to: &Destination<'_>, deadline: Instant, is_probe: bool) -> Result<Answer, Failure> {
        let Destination { scope, prepared } = to;
        let sent_at = Instant::now();
        let mut limits = prepared.limits.total(deadline.saturating_duration_since(sent_at));
        if is_probe {
            limits = limits.dns(PROBE).connect(PROBE).tls(PROBE);
        }
        let client = &scope.account.client;
        let mut builder = client.request(prepared.method.clone(), &prepared.path).limits(limits);
        if !prepared.headers.is_empty() {
            builder = builder.headers(&prepared.headers);
        }
        let made = [(IDEMPOTENCY_KEY, &prepared.idempotency_key), (CONTENT_TYPE, &prepared.content_type)];
        for (name, value) in made {
            if let Some(value) = value {
                builder = builder.header(name, value.clone());
            }
        }
        if !prepared.body.is_empty() {
            builder = builder.body(prepared.body.clone());
        }
        let reply = builder.send().await.map_err(Failure::of_client)?;
        let limit = prepared.first_item_timeout;
        let reader = Reader {
            scope,
            clock: self.clock,
            facts: &prepared.facts,
            is_array: prepared.is_array,
            sent_at,
            first_item: (sent_at.checked_add(limit), limit),
            emitter: self.emitter,
            items: self.items,
        };
        reader.read(reply).await
    }
}
