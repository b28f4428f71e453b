//! Public behaviour of `outbound-provider`.

mod contract;
mod estimate;
mod framing;
mod fuzz;
mod json;
mod limits;
mod never_panics;
mod prompt;
mod replies;
mod request;
mod signals;
mod stream;
mod stream_items;
mod stream_messages;
mod stream_native;
mod stream_oddities;
mod stream_plain;
mod stream_splits;
mod success;
mod success_streams;
mod usage;
mod waits;
mod whole;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use outbound_provider::{Fault, Provider, RequestFacts, Success};

/// 2026-11-22T10:00:00Z, a Sunday.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_341_600)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = list.iter().map(|(name, value)| {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header value");
        (HeaderName::from_static(name), value)
    });
    pairs.collect()
}

/// The facts of a plain chat.
fn chat() -> RequestFacts {
    Provider::openai().read_request(br#"{"model":"m","messages":[]}"#).unwrap()
}

/// Reads the answer to a chat.
fn read(provider: Provider, body: impl AsRef<[u8]>) -> Result<Success, Fault> {
    provider.read_success(&chat(), StatusCode::OK, &HeaderMap::new(), body.as_ref(), now())
}

/// Reads the answer to a request that was not a chat.
fn read_other(body: impl AsRef<[u8]>) -> Result<Success, Fault> {
    let facts = RequestFacts::default();
    Provider::openai().read_success(&facts, StatusCode::OK, &HeaderMap::new(), body.as_ref(), now())
}
