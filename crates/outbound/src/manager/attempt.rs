//! One attempt: a request out, a whole reply in.

use std::{borrow::Cow, future::Future};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use outbound_client as client;
use outbound_client::{ConnectFailure, Delivery, Limits};
use outbound_limiter::Cost;
use outbound_provider::{Class, Fault, RequestFacts, Signals, Terminal, Usage};
use tokio::time::Instant;

use super::{
    destination::Destination,
    error::{Error, ErrorKind},
    money::Quote,
    reply::Reply,
    request::{Body, Request},
    scope::Account,
    settings::Settings,
};

pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What stands between a run and the wire: whoever wants to answer from elsewhere (a cache, a recording), or to send
/// twice (a hedge), does it here.
pub(crate) trait Attempt: Send + Sync {
    /// Sends the request to one destination and reads the reply to its end, which has to come before the deadline.
    fn send(
        &self,
        to: &Destination<'_>,
        deadline: Instant,
        is_probe: bool,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send;
}

/// A request made ready: everything that does not change from one attempt to the next.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    pub(super) method: Method,
    pub(super) path: Cow<'a, str>,
    /// Whether a stream of it is one array of JSON.
    pub(super) is_array: bool,
    /// Those of the endpoint and the request.
    pub(super) headers: HeaderMap,
    /// Beside `headers`, as what follows.
    pub(super) idempotency_key: Option<HeaderValue>,
    pub(super) content_type: Option<HeaderValue>,
    pub(super) body: Bytes,
    pub(super) limits: Limits,
    pub(super) first_item_timeout: std::time::Duration,
    pub(crate) facts: RequestFacts,
    pub(crate) cost: Cost,
    /// What it may cost in money, where its model has a price.
    pub(crate) quote: Option<Quote>,
    /// Sending it twice does nothing twice: its method says so (RFC 9110, section 9.2.2), or the provider promises to honour
    /// its key.
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
    pub(crate) connect: Option<ConnectFailure>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) signals: Signals,
    pub(super) reply: Option<Box<Reply>>,
    pub(super) partial: Option<String>,
    pub(super) source: Option<client::Error>,
}

impl<'a> Prepared<'a> {
    pub(crate) fn new(
        request: &'a Request,
        account: &Account,
        settings: &Settings,
        handed_on: bool,
        key: impl FnOnce() -> HeaderValue,
    ) -> Result<Self, Error> {
        let invalid = |why: String| Error::new(ErrorKind::Invalid, why);
        let provider = &account.provider;
        if let Some(why) = &request.options().invalid {
            return Err(invalid(why.clone()));
        }
        let options = request.options();
        let (body, mut facts) = match &request.body {
            Body::Empty => (Bytes::new(), RequestFacts::default()),
            Body::Other(bytes, _) => (bytes.clone(), RequestFacts::default()),
            Body::Json(json) => match provider.read_request(json) {
                Ok(facts) => (json.clone(), facts),
                Err(why) => return Err(invalid(format!("the body is no JSON: {why}"))),
            },
            Body::Prompt(prompt) => {
                let body = Bytes::from(prompt.of(provider, handed_on).body());
                if body.is_empty() {
                    let to = "give the request a body of its own";
                    return Err(invalid(format!(
                        "the provider {} has no format for a prompt: {to}",
                        provider.name()
                    )));
                }
                let facts = provider.read_request(&body).unwrap_or_default();
                (body, facts)
            }
        };
        let model = match &request.body {
            Body::Prompt(prompt) => Some(&prompt.model),
            _ => options.model.as_ref(),
        };
        if let Some(model) = model {
            facts.model = Some(model.clone());
        }
        let path = match (&request.path, &request.body) {
            (Some(path), _) => Cow::Borrowed(path.as_str()),
            (None, Body::Prompt(prompt)) => prompt.of(provider, handed_on).path(),
            (None, _) if !provider.names_model_in_path() => Cow::Borrowed(provider.chat_path()),
            (None, _) => match &facts.model {
                Some(model) => provider.path(model, facts.stream || handed_on),
                None => {
                    let name = provider.name();
                    return Err(invalid(format!("{name} has the model in its path: say Request::model")));
                }
            },
        };
        // Gemini says so in the path. A colon is sooner found than a word.
        let method = path
            .find(':')
            .map(|at| &path[at..])
            .filter(|method| method.starts_with(":streamGenerateContent"));
        facts.stream |= method.is_some();
        let is_array = method.is_some_and(|method| !method.contains("alt=sse"));
        if !path.starts_with(['/', '?']) && path.contains("://") {
            let to = "give a path, and name an endpoint that has this address";
            return Err(invalid(format!("the path {:?} is an address: {to}", super::request::shown(&path))));
        }
        let mut headers = account.headers.clone();
        let mut content_type = None;
        match &request.body {
            // A body knows better what it is than the endpoint does.
            Body::Other(_, Some(own)) => _ = headers.insert(CONTENT_TYPE, own.clone()),
            Body::Json(_) | Body::Prompt(_)
                if ![&headers, &options.headers].iter().any(|map| map.contains_key(CONTENT_TYPE)) =>
            {
                content_type = Some(HeaderValue::from_static("application/json"));
            }
            _ => {}
        }
        for name in options.headers.keys() {
            headers.remove(name);
        }
        for (name, value) in &options.headers {
            headers.append(name, value.clone());
        }
        // The caller's own, however it was given, goes before one of the manager's making.
        let mut idempotency_key = options.idempotency_key.clone();
        let is_post = request.method == Method::POST;
        if is_post && idempotency_key.is_none() && !headers.contains_key(IDEMPOTENCY_KEY) {
            idempotency_key = Some(key());
        }
        let mut limits = settings.limits(account.client.limits());
        if facts.stream {
            limits = limits.first_byte(settings.first_item_timeout);
        }
        let cost = options.cost.unwrap_or_else(|| {
            Cost::request().input_tokens(facts.estimate.input).output_tokens(facts.estimate.output)
        });
        let prices = settings.prices.as_deref();
        let quote =
            prices.and_then(|prices| prices.quote(facts.model.as_deref(), body.len(), facts.estimate.output));
        Ok(Self {
            method: request.method.clone(),
            is_array,
            path,
            headers,
            idempotency_key,
            content_type,
            body,
            limits,
            first_item_timeout: settings.first_item_timeout,
            cost,
            quote,
            repeatable: request.method.is_idempotent() || (is_post && provider.documents_idempotency()),
            facts,
        })
    }
}

impl Prepared<'_> {
    /// How much of the limits it asks for, to share them fairly: its tokens, or one where it has none.
    pub(super) fn units(&self) -> u64 {
        let estimate = &self.facts.estimate;
        estimate.input.saturating_add(estimate.output).max(1)
    }
}

impl Failure {
    pub(super) fn of_fault(fault: Fault) -> Self {
        let kind = match fault.class {
            Class::RateLimited | Class::RampLimited => ErrorKind::RateLimited,
            Class::Overloaded => ErrorKind::Overloaded,
            Class::StreamBroken => ErrorKind::StreamBroken,
            Class::Unreadable => ErrorKind::Unreadable,
            Class::QuotaSpent => ErrorKind::QuotaSpent,
            Class::Terminal(Terminal::Auth) => ErrorKind::Auth,
            Class::Terminal(Terminal::Forbidden) if fault.of_account => ErrorKind::Auth,
            Class::Terminal(_) => ErrorKind::Rejected,
            _ => ErrorKind::Server,
        };
        Self {
            kind,
            fault,
            delivery: Delivery::Replied,
            connect: None,
            status: None,
            signals: Signals::default(),
            reply: None,
            partial: None,
            source: None,
        }
    }

    pub(super) fn of_client(error: client::Error) -> Self {
        let kind = match error.kind() {
            client::Kind::Config | client::Kind::Request => ErrorKind::Invalid,
            client::Kind::TooLarge => ErrorKind::Rejected,
            client::Kind::Protocol if crate::verdict::is_unreadable_head(&error) => ErrorKind::Rejected,
            client::Kind::Timeout => ErrorKind::Timeout,
            _ => ErrorKind::Connection,
        };
        let class = crate::verdict::class(&error);
        let (delivery, connect) = (error.delivery(), error.connect_failure());
        Self { kind, delivery, connect, source: Some(error), ..Self::of_fault(Fault::new(class)) }
    }

    pub(super) fn stalled(message: String) -> Self {
        let mut fault = Fault::new(Class::StreamBroken);
        fault.message = Some(message);
        Self { kind: ErrorKind::Timeout, ..Self::of_fault(fault) }
    }

    /// Whether nothing proves that the server did not process the request. It provably did not where it never had it, or
    /// refused it by a status for its rate, for an overload, for the key, the money or what it is. The same inside a stream may
    /// follow half an answer.
    pub(crate) fn maybe_processed(&self) -> bool {
        let at_the_door = self.fault.of_account
            || matches!(
                self.fault.class,
                Class::RateLimited | Class::RampLimited | Class::Overloaded | Class::Terminal(_)
            );
        !(self.delivery == Delivery::NotSent || (at_the_door && self.is_refused_by_status()))
    }

    /// Whether it is the request's own deadline that passed: the one limit on everything that an attempt has.
    pub(crate) fn is_past_deadline(&self) -> bool {
        let limit = self.source.as_ref().and_then(client::Error::limit);
        limit.is_some_and(|(limit, _)| limit == client::Limit::Total)
    }

    /// Whether it may be billed: it may have been processed, and no status says that it failed.
    pub(crate) fn may_be_billed(&self) -> bool {
        self.maybe_processed() && !self.is_refused_by_status()
    }

    /// Whether the same request would fail in the same way again.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self.fault.class, Class::Terminal(_)) || self.fault.of_account
    }

    /// Whether it is a reply with an error status.
    pub(crate) fn is_refused_by_status(&self) -> bool {
        self.status.is_some_and(|status| !status.is_success())
    }

    /// What happened, in one line: for the error, and for the record of the last attempt.
    pub(crate) fn message(&self) -> String {
        match (&self.source, &self.status) {
            (Some(error), _) => in_full(error),
            (None, Some(status)) => format!("status {}: {}", status.as_u16(), self.fault),
            (None, None) => self.fault.to_string(),
        }
    }

    pub(crate) fn into_error(self, kind: ErrorKind, message: String) -> Error {
        let terminal = self.is_final();
        let error = Error::new(kind, message)
            .with_code(self.fault.code, terminal)
            .with_reply(self.reply)
            .with_partial(self.partial);
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
