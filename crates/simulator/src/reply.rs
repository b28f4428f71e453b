//! The head of a reply, and whole replies that refuse.

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use crate::{
    body::ReplyBody,
    builder::LimitHeaders,
    dialect::Dialect,
    exchange::Exchange,
    ledger::Outcome,
    provider::Provider,
    quota::{Dimension, OverQuota, Standing},
    refusal::{Reason, Refusal},
    script::Script,
    wall,
};

/// What every reply to one request has in common.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) dialect: Dialect,
    pub(crate) request_id: String,
    /// What was left of the quotas at the admission, if the headers say that.
    pub(crate) standings: Option<Vec<Standing>>,
}

impl Reply {
    /// Adds the headers of every reply: the date, and if the dialect has them the request's id and the limits.
    pub(crate) fn send(
        &self,
        exchange: Exchange,
        status: StatusCode,
        content_type: &'static str,
        mut headers: HeaderMap,
        script: Script,
    ) -> Response<ReplyBody> {
        let provider = exchange.provider();
        let now = provider.wall();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        insert(&mut headers, header::DATE, now.http_date());
        if let Some(name) = self.dialect.request_id_header() {
            insert(&mut headers, name, self.request_id.clone());
        }
        if provider.settings.limit_headers == LimitHeaders::All {
            let standings = self.standings.clone().unwrap_or_else(|| exchange.standings());
            headers.extend(self.dialect.limit_headers(&standings, now));
        }
        let mut response =
            Response::new(ReplyBody::new(script.steps, script.length, script.ending, exchange));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    pub(crate) fn refuse(
        &self,
        exchange: Exchange,
        refusal: &Refusal,
        outcome: Outcome,
    ) -> Response<ReplyBody> {
        let mut headers = HeaderMap::new();
        if let Some(wait) = refusal.retry_after {
            insert(&mut headers, header::RETRY_AFTER, wall::ceil_seconds(wait).to_string());
        }
        if let Some(wait) = refusal.retry_after_date {
            let at = exchange.provider().wall().after(wait);
            insert(&mut headers, header::RETRY_AFTER, at.http_date_rounded_up());
        }
        if let Some(wait) = refusal.retry_after_ms {
            insert(
                &mut headers,
                HeaderName::from_static("retry-after-ms"),
                wall::ceil_millis(wait).to_string(),
            );
        }
        for (name, value) in &refusal.headers {
            headers.append(name, value.clone());
        }
        if refusal.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        let (content_type, body) = if refusal.reason == Reason::Html {
            let status = refusal.status;
            let page = format!(
                "<html>\r\n<head><title>{status}</title></head>\r\n<body><h1>{status}</h1></body>\r\n</html>\r\n"
            );
            ("text/html", page)
        } else {
            ("application/json", self.dialect.error(refusal, &self.request_id).to_string())
        };
        // These two statuses have no body. If a length were announced, the client would wait for the body.
        let is_empty = matches!(refusal.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let body = if is_empty { String::new() } else { body };
        self.send(exchange, refusal.status, content_type, headers, Script::immediate(body.into(), outcome))
    }

    /// The refusal for a quota that is used up, with the hints that this simulator gives.
    pub(crate) fn over_quota(&self, provider: &Provider, model: &str, over: OverQuota) -> Refusal {
        let OverQuota { dimension, limit, requested, wait } = over;
        let unit = match dimension {
            Dimension::Requests => "requests per min (RPM)",
            Dimension::Tokens => "tokens per min (TPM)",
            Dimension::InputTokens => "input tokens per min (ITPM)",
            Dimension::OutputTokens => "output tokens per min (OTPM)",
        };
        let what = if wait.is_some() { "Rate limit reached" } else { "Request too large" };
        let message = format!("{what} for {model} on {unit}: Limit {limit}, Requested {requested}.");
        let mut refusal = Refusal::rate_limited().message(message);
        refusal.kind = Some(if dimension == Dimension::Requests { "requests" } else { "tokens" });
        // The refusal of a request that can never pass has no wait.
        let Some(wait) = wait else { return refusal };
        match (provider.settings.limit_headers, self.dialect) {
            (LimitHeaders::None, _) => refusal,
            (LimitHeaders::RetryAfter, _) | (_, Dialect::Anthropic | Dialect::Ollama) => {
                refusal.retry_after(wait)
            }
            // The hint is in the body and nowhere else.
            (LimitHeaders::All | LimitHeaders::ExactWait, Dialect::Gemini) => refusal.hint(wait),
            (LimitHeaders::All | LimitHeaders::ExactWait, _) => {
                refusal.retry_after(wait).retry_after_ms(wait).hint(wait)
            }
        }
    }
}

/// Leaves out a value that no header can have. No value of this crate is like that.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.append(name, value);
    }
}
