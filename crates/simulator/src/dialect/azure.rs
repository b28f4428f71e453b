//! Azure OpenAI's chat completions. They are OpenAI's, with a deployment in the path and errors of their own.

use http::Uri;
use serde_json::{Value, json};

use super::{Ask, Events, openai};
use crate::{
    answer::Answer,
    refusal::{Reason, Refusal},
    wall,
};

/// The deployment stands for the model, whatever the body says. `api-version` is required.
pub(super) fn parse(uri: &Uri, body: &Value) -> Result<Ask, String> {
    let deployment = deployment(uri.path()).ok_or("the path must name a deployment")?;
    if !uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("api-version="))) {
        return Err("Missing required query parameter: api-version".into());
    }
    let mut body = body.clone();
    if let Value::Object(fields) = &mut body {
        fields.insert("model".into(), json!(deployment));
    }
    openai::parse(&body)
}

/// The deployment of a path, if it is one of this dialect.
pub(super) fn deployment(path: &str) -> Option<&str> {
    let deployment = path.split_once("/openai/deployments/")?.1.strip_suffix("/chat/completions")?;
    (!deployment.is_empty() && !deployment.contains('/')).then_some(deployment)
}

/// Before the answer comes a chunk without choices, with what the filter found in the prompt.
pub(super) fn events(answer: &Answer, include_usage: bool) -> Events {
    let mut events = openai::events(answer, include_usage);
    let filter = json!({
        "id": "",
        "object": "",
        "created": 0,
        "model": "",
        "choices": [],
        "prompt_filter_results": [{ "prompt_index": 0, "content_filter_results": {} }],
    });
    events.opening = format!("data: {filter}\n\n{}", events.opening);
    events
}

/// `{"error": {"code", "message"}}`: the code is a word or the status as a string.
pub(super) fn error(refusal: &Refusal) -> Value {
    let status = refusal.status.as_u16();
    let (code, usual) = match (refusal.reason, status) {
        (Reason::QuotaSpent, _) => ("insufficient_quota", "You exceeded your current quota."),
        (_, 401) => ("401", "Access denied due to invalid subscription key or wrong API endpoint."),
        (_, 404) => ("DeploymentNotFound", "The API deployment for this resource does not exist."),
        (_, 429) => ("429", "Requests have exceeded the call rate limit of your current pricing tier."),
        (_, 503) => ("ServiceUnavailable", "The service is temporarily unable to process your request."),
        (_, 400..500) => ("BadRequest", "The request is not valid."),
        _ => ("InternalServerError", "The server had an error while processing your request."),
    };
    let mut message = refusal.message.clone().unwrap_or_else(|| usual.into());
    if let Some(wait) = refusal.hint {
        message += &format!(" Please retry after {} seconds.", wall::ceil_seconds(wait));
    }
    json!({ "error": { "code": code, "message": message } })
}
