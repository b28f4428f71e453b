//! Requests.

use std::{fmt, sync::LazyLock, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use outbound_client::{Multipart, encode_form};
use outbound_limiter::Cost;
use outbound_provider::Provider;
use serde::Serialize;

use super::{route::Route, scope::QueueClass};

/// One request: a method, a path at an endpoint, and a body. The body is in memory, because it may be sent several
/// times.
///
/// An invalid part (a bad header, a body that cannot be serialized) is reported when the request is sent. So one bad
/// request in a batch is one bad outcome.
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
///
/// Any method, and bodies other than JSON:
///
/// ```
/// use outbound::{Request, client::{Method, Multipart, Part}};
///
/// let upload = Multipart::new()
///     .text("purpose", "batch")
///     .part("file", Part::bytes("{}\n").file_name("input.jsonl").content_type("application/jsonl"));
/// let requests = [
///     Request::new(Method::POST, "/files").multipart(upload),
///     Request::new(Method::DELETE, "/files/file-7").header("x-reason", "done"),
///     Request::new(Method::POST, "/tokens").form(&[("grant_type", "refresh"), ("scope", "batch")]),
/// ];
/// # let _ = requests;
/// ```
#[derive(Clone)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    pub(crate) id: Option<String>,
    pub(crate) method: Method,
    /// `None` stands for the provider's own chat path.
    pub(crate) path: Option<String>,
    pub(crate) body: Body,
    /// Options that most requests do not use. Boxed, so that a request is small.
    options: Option<Box<Options>>,
}

/// Options that most requests do not use.
#[derive(Clone, Default)]
pub(crate) struct Options {
    pub(crate) endpoint: Option<String>,
    pub(crate) headers: HeaderMap,
    /// Why the request cannot be sent.
    pub(crate) invalid: Option<String>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) max_attempts: Option<u32>,
    pub(crate) fallbacks: Vec<Route>,
    pub(crate) priority: i32,
    pub(crate) tenant: Option<String>,
    pub(crate) cost: Option<Cost>,
    pub(crate) idempotency_key: Option<HeaderValue>,
    /// The model, if the body does not name it.
    pub(crate) model: Option<String>,
    /// The request takes no answer of another request.
    fresh: bool,
    /// An earlier run may have sent it.
    pub(crate) maybe_sent_before: bool,
}

#[derive(Clone)]
pub(crate) enum Body {
    Empty,
    Json(Bytes),
    /// Anything else, and its content type if it has one.
    Other(Bytes, Option<HeaderValue>),
    /// A prompt, to be written in the format of the provider.
    Prompt(Box<Prompt>),
}

/// A prompt, independent of the provider's format.
#[derive(Clone)]
pub(crate) struct Prompt {
    pub(crate) model: String,
    pub(crate) text: String,
    pub(crate) system: Option<String>,
    pub(crate) max_tokens: Option<u64>,
}

impl Request {
    /// A chat request in the provider's own format, sent to the provider's own path
    /// (`/chat/completions`, `/messages`).
    pub fn chat(body: &impl Serialize) -> Self {
        Self::to_path(Method::POST, None).json(body)
    }

    /// One prompt to one model, written in the provider's own format and sent to its own path.
    ///
    /// ```
    /// # async fn example(manager: outbound::RequestManager) -> Result<(), outbound::Error> {
    /// use outbound::Request;
    ///
    /// let outcome = manager.send(Request::prompt("gpt-4o-mini", "Name a river.").max_tokens(100)).await;
    /// println!("{}", outcome.result?.content().unwrap_or_default());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// With [`stream`](super::RequestManager::stream) it asks for a stream. Servers of
    /// [`Provider::http`](crate::Provider::http) have no format for a prompt.
    pub fn prompt(model: impl Into<String>, text: impl Into<String>) -> Self {
        let prompt = Prompt { model: model.into(), text: text.into(), system: None, max_tokens: None };
        Self { body: Body::Prompt(Box::new(prompt)), ..Self::to_path(Method::POST, None) }
    }

    /// The system text of a [`prompt`](Self::prompt). Other bodies have to contain it themselves.
    pub fn system(mut self, text: impl Into<String>) -> Self {
        match &mut self.body {
            Body::Prompt(prompt) => prompt.system = Some(text.into()),
            _ => self.reject("system is for Request::prompt: write it into the body itself".into()),
        }
        self
    }

    /// The most tokens that the answer to a [`prompt`](Self::prompt) may have. Other bodies have to say it themselves.
    pub fn max_tokens(mut self, tokens: u64) -> Self {
        match &mut self.body {
            Body::Prompt(prompt) => prompt.max_tokens = Some(tokens),
            _ => self.reject("max_tokens is for Request::prompt: write it into the body itself".into()),
        }
        self
    }

    /// The model, if the body does not name it. It is used in the path (Gemini, Azure), and for the limits of the
    /// model. Default: the model that the body names.
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.set().model = Some(model.into());
        self
    }

    /// A request with any method, to a path below the endpoint's base URL. It has no body until it is given one.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self::to_path(method, Some(path.into()))
    }

    /// A `POST` of JSON to a path below the endpoint's base URL.
    pub fn post(path: impl Into<String>, body: &impl Serialize) -> Self {
        Self::new(Method::POST, path).json(body)
    }

    /// A `POST` of JSON that is serialized already. It is sent byte for byte.
    pub fn post_raw(path: impl Into<String>, json: impl Into<Bytes>) -> Self {
        Self { body: Body::Json(json.into()), ..Self::new(Method::POST, path) }
    }

    /// A `GET` of a path below the endpoint's base URL.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    fn to_path(method: Method, path: Option<String>) -> Self {
        Self { id: None, method, path, body: Body::Empty, options: None }
    }

    pub(crate) fn options(&self) -> &Options {
        self.options.as_deref().unwrap_or(&DEFAULT)
    }

    pub(super) fn set(&mut self) -> &mut Options {
        self.options.get_or_insert_with(Box::default)
    }

    /// An id of the caller's choice, returned in the [`Outcome`](crate::Outcome). Default: none.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The name of the endpoint to send it to. Default: the manager's own endpoint.
    pub fn to(mut self, endpoint: impl Into<String>) -> Self {
        self.set().endpoint = Some(endpoint.into());
        self
    }

    /// A header. It replaces one of the same name that the endpoint has.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: fmt::Display>,
        V: TryInto<HeaderValue, Error: fmt::Display>,
    {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => _ = self.set().headers.insert(name, value),
            (Err(error), _) => self.reject(format!("the name of a header is not valid: {error}")),
            (_, Err(error)) => self.reject(format!("the value of a header is not valid: {error}")),
        }
        self
    }

    /// A body of JSON.
    pub fn json(mut self, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(json) => self.body = Body::Json(json.into()),
            Err(error) => self.reject(format!("the body is not JSON: {error}")),
        }
        self
    }

    /// A form body of pairs, `application/x-www-form-urlencoded`.
    pub fn form(mut self, pairs: &impl Serialize) -> Self {
        const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
        match encode_form(pairs) {
            Ok(form) => self.body = Body::Other(form.into(), Some(FORM)),
            Err(error) => self.reject(format!("the form is not made of pairs: {error}")),
        }
        self
    }

    /// A body of several parts, such as files. The parts have to be in memory: read a file with [`tokio::fs::read`],
    /// and make a [`Part::bytes`](outbound_client::Part::bytes) of it.
    pub fn multipart(mut self, multipart: Multipart) -> Self {
        match multipart.into_bytes() {
            Some((content_type, bytes)) => self.body = Body::Other(bytes, Some(content_type)),
            None => self
                .reject("a part of the body is read while it is sent, so it could not be sent again".into()),
        }
        self
    }

    /// A body of bytes. Set its content type as a [`header`](Self::header).
    pub fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body = Body::Other(bytes.into(), None);
        self
    }

    pub(super) fn reject(&mut self, why: String) {
        self.set().invalid.get_or_insert(why);
    }

    /// How long this request may take in all, waits and retries included. Default: the manager's.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.set().deadline = Some(deadline);
        self
    }

    /// How often it may be sent, counting charged sends only. Default: the manager's. Zero counts as 1.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.set().max_attempts = Some(attempts.max(1));
        self
    }

    /// Its priority among requests that wait for the same limits: higher ones go first. For each 30 seconds of waiting
    /// a request counts as one priority higher, so none waits for ever. Default: 0.
    pub fn priority(mut self, priority: i32) -> Self {
        self.set().priority = priority;
        self
    }

    /// The tenant of the request. Tenants whose requests wait for the same limits share them evenly by tokens, however
    /// many requests each has. Default: none. All requests without a tenant count as one tenant.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.set().tenant = Some(tenant.into());
        self
    }

    pub(crate) fn queue_class(&self) -> QueueClass<'_> {
        let Options { priority, tenant, .. } = self.options();
        QueueClass { priority: *priority, tenant: tenant.as_deref() }
    }

    /// A route to take if the request fails on its own route. Each call adds one. They are tried in this order.
    /// Default: the fallbacks of the manager.
    pub fn fallback(mut self, route: Route) -> Self {
        self.set().fallbacks.push(route);
        self
    }

    /// What it will cost in requests and tokens, if the caller knows better than the estimate from the body.
    pub fn cost(mut self, cost: Cost) -> Self {
        self.set().cost = Some(cost);
        self
    }

    /// The idempotency key, the same for all attempts. Default: a generated one for every `POST`.
    pub fn idempotency_key(mut self, key: HeaderValue) -> Self {
        self.set().idempotency_key = Some(key);
        self
    }

    /// Makes a call of its own, even if the manager [keeps](super::RequestManagerBuilder::cache) answers or
    /// [shares](super::RequestManagerBuilder::coalesce) them. Use it to get several answers to one prompt. Default: no.
    pub fn fresh(mut self) -> Self {
        self.set().fresh = true;
        self
    }

    /// Says that an earlier run may have sent the request, and that its answer is unknown: see
    /// [`SendLog`](super::SendLog). Once it is sent, its outcome is a [possible
    /// duplicate](super::Outcome::possible_duplicate), unless sending it twice has no further effect. Default: no.
    pub fn maybe_sent_before(mut self) -> Self {
        self.set().maybe_sent_before = true;
        self
    }

    /// Whether the request may share the answer to an equal one: it only asks, and changes nothing at the server.
    pub(crate) fn may_share_an_answer(&self) -> bool {
        let asks = match self.body {
            Body::Empty => self.method == Method::GET,
            Body::Json(_) | Body::Prompt(_) => self.method == Method::POST,
            Body::Other(..) => false,
        };
        asks && !self.options().fresh
    }

    /// The id given with [`id`](Self::id).
    pub fn get_id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

/// The options of a request that sets none.
static DEFAULT: LazyLock<Options> = LazyLock::new(Options::default);

impl Prompt {
    /// The prompt in the format of this provider.
    pub(super) fn of(&self, provider: &Provider, stream: bool) -> outbound_provider::Prompt<'_> {
        let mut prompt = provider.prompt(&self.model, &self.text).stream(stream);
        if let Some(system) = &self.system {
            prompt = prompt.system(system);
        }
        match self.max_tokens {
            Some(tokens) => prompt.max_tokens(tokens),
            None => prompt,
        }
    }
}

/// A path or an address without the parts that may be secret: user, query, fragment.
pub(super) fn without_secrets(path: &str) -> &str {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    path.rsplit_once('@').map_or(path, |(_, rest)| rest)
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without body and headers: prompts and keys do not belong into logs.
        f.debug_struct("Request")
            .field("id", &self.id)
            .field("endpoint", &self.options().endpoint)
            .field("method", &self.method)
            .field("path", &self.path.as_deref().map(without_secrets))
            .finish_non_exhaustive()
    }
}
