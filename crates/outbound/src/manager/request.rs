//! What to send.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use outbound_limiter::Cost;
use serde::Serialize;

/// One request: a method, a path at some endpoint, and a body.
///
/// ```
/// use outbound::Request;
/// use serde_json::json;
///
/// let request = Request::chat(&json!({
///     "model": "gpt-4o-mini",
///     "messages": [{"role": "user", "content": "Say something."}],
/// }))
/// .id("greeting-1");
/// assert_eq!(request.get_id(), Some("greeting-1"));
/// ```
#[derive(Clone)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    pub(crate) id: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) method: Method,
    /// `None` stands for the provider's own chat path.
    pub(crate) path: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    pub(crate) deadline: Option<Duration>,
    pub(crate) cost: Option<Cost>,
    pub(crate) idempotency_key: Option<HeaderValue>,
}

/// The bytes of a body, or why there are none: said when the request is sent, so that one bad request in a batch
/// is one bad outcome.
#[derive(Clone)]
pub(crate) enum Body {
    Empty,
    Json(Bytes),
    Unserializable(String),
}

impl Request {
    /// A chat request in the provider's own format, sent to the provider's own path
    /// (`/chat/completions`, `/messages`).
    pub fn chat(body: &impl Serialize) -> Self {
        Self::new(Method::POST, None, Body::from_json(body))
    }

    /// A `POST` of JSON to a path below the endpoint's base URL.
    pub fn post(path: impl Into<String>, body: &impl Serialize) -> Self {
        Self::new(Method::POST, Some(path.into()), Body::from_json(body))
    }

    /// A `POST` of JSON that has been serialized already; it is sent byte for byte.
    pub fn post_raw(path: impl Into<String>, json: impl Into<Bytes>) -> Self {
        Self::new(Method::POST, Some(path.into()), Body::Json(json.into()))
    }

    /// A `GET` of a path below the endpoint's base URL.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, Some(path.into()), Body::Empty)
    }

    fn new(method: Method, path: Option<String>, body: Body) -> Self {
        Self {
            id: None,
            endpoint: None,
            method,
            path,
            headers: HeaderMap::new(),
            body,
            deadline: None,
            cost: None,
            idempotency_key: None,
        }
    }

    /// A name of the caller's own, given back in the [`Outcome`](crate::Outcome). Default: none.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Names one of the manager's further endpoints. Default: the manager's own.
    pub fn to(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// A header beside those of the endpoint.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// How long this request may take in all, waits and retries included. Default: the manager's.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// What it will cost, where the caller knows better than the estimate from the body.
    pub fn cost(mut self, cost: Cost) -> Self {
        self.cost = Some(cost);
        self
    }

    /// The idempotency key to send, kept over retries. Default: one of the manager's making for every `POST`.
    pub fn idempotency_key(mut self, key: HeaderValue) -> Self {
        self.idempotency_key = Some(key);
        self
    }

    /// The name given with [`id`](Self::id).
    pub fn get_id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

impl Body {
    fn from_json(body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(json) => Self::Json(json.into()),
            Err(error) => Self::Unserializable(error.to_string()),
        }
    }
}

/// A path, or an address, without what may be secret in it: user, query, fragment.
pub(super) fn shown(path: &str) -> &str {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    path.rsplit_once('@').map_or(path, |(_, rest)| rest)
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the body nor the headers: prompts and keys do not belong in logs.
        f.debug_struct("Request")
            .field("id", &self.id)
            .field("endpoint", &self.endpoint)
            .field("method", &self.method)
            .field("path", &self.path.as_deref().map(shown))
            .finish_non_exhaustive()
    }
}
