//! A request prepared for one account.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header::CONTENT_TYPE};
use outbound_client::Limits;
use outbound_limiter::Cost;
use outbound_provider::RequestFacts;

use super::{
    error::{Error, ErrorKind},
    money::PriceEstimate,
    request::{Body, Request},
    scope::Account,
    settings::Settings,
};

pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A prepared request: everything that stays the same over its attempts.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    pub(super) method: Method,
    pub(super) path: Cow<'a, str>,
    /// Whether its stream is one array of JSON.
    pub(super) is_array: bool,
    /// The headers of the endpoint and of the request.
    pub(super) headers: HeaderMap,
    /// A header beside `headers`. So is `content_type`.
    pub(super) idempotency_key: Option<HeaderValue>,
    pub(super) content_type: Option<HeaderValue>,
    pub(super) body: Bytes,
    pub(super) limits: Limits,
    pub(super) first_item_timeout: std::time::Duration,
    pub(crate) facts: RequestFacts,
    pub(crate) cost: Cost,
    /// What the request may cost in money, if its model has a price.
    pub(crate) price_estimate: Option<PriceEstimate>,
    /// Whether sending it twice has no further effect: its method says so (RFC 9110, section 9.2.2), or the provider
    /// promises to honour its idempotency key.
    pub(crate) repeatable: bool,
}

impl<'a> Prepared<'a> {
    pub(crate) fn new(
        request: &'a Request,
        account: &Account,
        settings: &Settings,
        as_stream: bool,
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
                Err(why) => return Err(invalid(format!("the body is not JSON: {why}"))),
            },
            Body::Prompt(prompt) => {
                let body = Bytes::from(prompt.of(provider, as_stream).body());
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
            (None, Body::Prompt(prompt)) => prompt.of(provider, as_stream).path(),
            (None, _) if !provider.names_model_in_path() => Cow::Borrowed(provider.chat_path()),
            (None, _) => match &facts.model {
                Some(model) => provider.path(model, facts.stream || as_stream),
                None => {
                    let name = provider.name();
                    return Err(invalid(format!("{name} has the model in its path: say Request::model")));
                }
            },
        };
        // Gemini has the method in the path. Looking for the colon first is faster.
        let method = path
            .find(':')
            .map(|at| &path[at..])
            .filter(|method| method.starts_with(":streamGenerateContent"));
        facts.stream |= method.is_some();
        let is_array = method.is_some_and(|method| !method.contains("alt=sse"));
        if !path.starts_with(['/', '?']) && path.contains("://") {
            let to = "give a path, and name an endpoint that has this address";
            return Err(invalid(format!(
                "the path {:?} is an address: {to}",
                super::request::without_secrets(&path)
            )));
        }
        let mut headers = account.headers.clone();
        let mut content_type = None;
        match &request.body {
            // The content type of the body goes before that of the endpoint.
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
        // A key of the caller, in the option or in the headers, goes before a generated one.
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
        let price_estimate = prices
            .and_then(|prices| prices.estimate(facts.model.as_deref(), body.len(), facts.estimate.output));
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
            price_estimate,
            repeatable: request.method.is_idempotent() || (is_post && provider.documents_idempotency()),
            facts,
        })
    }
}

impl Prepared<'_> {
    /// The share of the limits that the request needs, for the fair queue: its tokens, or 1 if it has none.
    pub(super) fn units(&self) -> u64 {
        let estimate = &self.facts.estimate;
        estimate.input.saturating_add(estimate.output).max(1)
    }
}
