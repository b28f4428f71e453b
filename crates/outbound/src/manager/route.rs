//! Routes: where a request goes if its own route has failed.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::error::{Error, ErrorKind};

/// The failures that another route may avoid.
const DEFAULT_KINDS: &[ErrorKind] = &[
    ErrorKind::RateLimited,
    ErrorKind::Overloaded,
    ErrorKind::Server,
    ErrorKind::Connection,
    ErrorKind::Timeout,
    ErrorKind::StreamBroken,
    ErrorKind::Unreadable,
    ErrorKind::QuotaSpent,
    ErrorKind::Auth,
    ErrorKind::Stopped,
];

/// Another route for a request that has failed: another endpoint, model or body. For
/// [`Request::fallback`](super::Request::fallback) and
/// [`RequestManagerBuilder::fallback`](super::RequestManagerBuilder::fallback).
///
/// While another route is left, a request does not wait long on its present one. It may wait for the end of a refusal,
/// a backoff, an outage or a held key. When these waits together grow longer than [`after`](Self::after), it takes the
/// next route. Waiting for its turn under the limits does not count.
///
/// | | default |
/// |---|---|
/// | endpoint, model, path, body | the request's own |
/// | `after` | 10 seconds |
/// | `on` | all but [`Rejected`](ErrorKind::Rejected), [`Deadline`](ErrorKind::Deadline), [`Impossible`](ErrorKind::Impossible), [`Invalid`](ErrorKind::Invalid), [`ShutDown`](ErrorKind::ShutDown) and [`Panicked`](ErrorKind::Panicked) |
///
/// Items of a stream that were delivered cannot be taken back. After the first one no other route is taken.
///
/// ```
/// use outbound::{ErrorKind, Request, Route};
/// use serde_json::json;
///
/// let question = json!({"model": "large", "messages": [{"role": "user", "content": "Why?"}]});
/// let request = Request::chat(&question)
///     // A smaller model of the same provider, then another provider, also where the prompt was too long for both.
///     .fallback(Route::model("small"))
///     .fallback(Route::to("backup").with_model("other").on([ErrorKind::Server, ErrorKind::Rejected]));
/// # let _ = request;
/// ```
#[derive(Debug, Clone)]
#[must_use = "a route does nothing until a request has it"]
pub struct Route {
    pub(super) endpoint: Option<String>,
    pub(super) model: Option<String>,
    pub(super) path: Option<String>,
    /// JSON, or why it could not be serialized.
    pub(super) body: Option<Result<Bytes, String>>,
    after: Duration,
    on: Option<Vec<ErrorKind>>,
}

impl Route {
    /// The default of [`after`](Self::after).
    pub const DEFAULT_AFTER: Duration = Duration::from_secs(10);

    /// Another endpoint of the manager, by its name.
    pub fn to(endpoint: impl Into<String>) -> Self {
        Self { endpoint: Some(endpoint.into()), ..Self::same() }
    }

    /// Another model at the same endpoint. It replaces `model` in the body.
    pub fn model(model: impl Into<String>) -> Self {
        Self::same().with_model(model)
    }

    fn same() -> Self {
        Self { endpoint: None, model: None, path: None, body: None, after: Self::DEFAULT_AFTER, on: None }
    }

    /// Another model. It replaces `model` in the body.
    pub fn with_model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Another path below the endpoint's base URL.
    pub fn with_path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Another body, serialized as JSON.
    pub fn with_json(mut self, body: &impl Serialize) -> Self {
        self.body = Some(serde_json::to_vec(body).map(Bytes::from).map_err(|error| error.to_string()));
        self
    }

    /// How long a request may wait on the route before this one, while that one refuses or fails. Zero: it takes this
    /// route at the first failure that needs a wait.
    pub fn after(mut self, patience: Duration) -> Self {
        self.after = patience;
        self
    }

    /// The kinds of failure after which this route is taken. They replace the default.
    pub fn on(mut self, kinds: impl IntoIterator<Item = ErrorKind>) -> Self {
        self.on = Some(kinds.into_iter().collect());
        self
    }

    pub(super) fn patience(&self) -> Duration {
        self.after
    }

    pub(super) fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// Whether this route is taken after this error.
    pub(super) fn takes(&self, error: &Error) -> bool {
        self.on.as_deref().unwrap_or(DEFAULT_KINDS).contains(&error.kind())
    }
}
