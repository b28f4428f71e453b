//! Lines of the providers' own batch files. Their bodies are sent as they are.

use outbound::{Provider, client::Method};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{
    Reading,
    line::{Members, Sends, To, of_one_line},
};

const OPENAI: &str = r#"{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Name a river."}]}}"#;

const ANTHROPIC: &str = r#"{"custom_id": "1", "params": {"model": "claude-sonnet-4-5", "max_tokens": 1024, "messages": [{"role": "user", "content": "Name a river."}]}}"#;

/// A line of an OpenAI batch file; or any HTTP request, with [`Provider::http`].
pub(super) fn openai(members: &Members<'_>, reading: &Reading) -> Result<Sends, String> {
    let is_http = reading.provider == Provider::http();
    let wrong = |why: String| format!("{why}\na right line: {OPENAI}");
    let method = match members.method.map(text).transpose() {
        Ok(method) => method.unwrap_or_else(|| String::from("POST")),
        Err(_) => return Err(String::from("`method` is not a string")),
    };
    let method = match method.as_str() {
        "POST" => Method::POST,
        "GET" | "PUT" | "DELETE" | "PATCH" if !is_http => {
            return Err(String::from("`method` is not POST; other methods need `--provider http`"));
        }
        "GET" => Method::GET,
        "PUT" => Method::PUT,
        "DELETE" => Method::DELETE,
        "PATCH" => Method::PATCH,
        _ if is_http => return Err(String::from("`method` must be GET, POST, PUT, PATCH or DELETE")),
        _ => return Err(String::from("`method` is not POST")),
    };
    let url = members.url.ok_or_else(|| wrong(String::from("`url` is missing")))?;
    let url = text(url).map_err(|()| wrong(String::from("`url` is not a string")))?;
    let (to, url) = where_to(url, reading)?;
    let body = match members.body {
        None if is_http => None,
        None => return Err(wrong(String::from("`body` is missing"))),
        Some(body) if is_http || body.get().starts_with('{') => Some(body.to_owned()),
        Some(_) => return Err(wrong(String::from("`body` is not an object"))),
    };
    finish(Sends { method, url, to, model: None, body }, reading)
}

/// A line of an Anthropic batch.
pub(super) fn anthropic(members: &Members<'_>, reading: &Reading) -> Result<Sends, String> {
    if reading.provider != Provider::anthropic() {
        let name = reading.provider.name();
        return Err(format!(
            "it has `params`, so it is a line of an Anthropic batch; send it with `--provider anthropic` (the provider is {name})"
        ));
    }
    let body = members.params.filter(|params| params.get().starts_with('{')).map(ToOwned::to_owned);
    if body.is_none() {
        return Err(format!("`params` is not an object\na right line: {ANTHROPIC}"));
    }
    let url = reading.provider.chat_path().to_owned();
    finish(Sends { method: Method::POST, url, to: To::Chat, model: None, body }, reading)
}

/// Applies the options. A batch line has a body of its own, of which an option can change only the model.
fn finish(mut sends: Sends, reading: &Reading) -> Result<Sends, String> {
    if let Some(option) = reading.option_for_prompts() {
        return Err(format!("`{option}` is only for prompts, and this line has a body of its own"));
    }
    let Some(model) = &reading.model else { return Ok(sends) };
    if reading.provider.names_model_in_path() {
        let name = reading.provider.name();
        return Err(format!(
            "`--model` cannot change this line: with {name} the model is in the `url` of a batch line"
        ));
    }
    let body = sends.body.as_deref().map(RawValue::get).filter(|body| body.starts_with('{'));
    let body = body.ok_or("`--model` cannot change this line: its body is not an object")?;
    let changed = with_model(body, model).and_then(RawValue::from_string);
    sends.body =
        Some(changed.map_err(|error| format!("`--model` cannot change this line: {}", of_one_line(&error)))?);
    Ok(sends)
}

/// The body with another `model`. Every other byte stays as it is.
fn with_model(body: &str, model: &str) -> serde_json::Result<String> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow, default, deserialize_with = "present")]
        model: Option<&'a RawValue>,
    }
    /// Keeps a member that is `null`, which serde would read as missing.
    fn present<'de, D: Deserializer<'de>>(member: D) -> Result<Option<&'de RawValue>, D::Error> {
        Deserialize::deserialize(member).map(Some)
    }
    let model = serde_json::to_string(model)?;
    match serde_json::from_str::<Body<'_>>(body)?.model.map(RawValue::get) {
        Some(old) => {
            let at = old.as_ptr() as usize - body.as_ptr() as usize;
            Ok([&body[..at], &model, &body[at + old.len()..]].concat())
        }
        None => {
            let comma = if body[1..].trim_start().starts_with('}') { "" } else { "," };
            Ok(format!("{{\"model\":{model}{comma}{}", &body[1..]))
        }
    }
}

/// Reads a `url`: a path, or a URL below the base URL. Any other URL is refused, so that no key is sent there.
fn where_to(url: String, reading: &Reading) -> Result<(To, String), String> {
    if url.starts_with('/') && !url.starts_with("//") {
        return Ok((To::Batch, url));
    }
    let no_path = "`url` is not a path such as /v1/chat/completions";
    if !url.contains("://") {
        return Err(String::from(no_path));
    }
    let Some(base) = reading.base_url() else {
        return Err(format!("{no_path}, and without `--base-url` there is no server to send it to"));
    };
    let base = base.trim_end_matches('/');
    match url.strip_prefix(base).filter(|rest| rest.starts_with('/')) {
        Some(rest) => Ok((To::Base, rest.to_owned())),
        None => Err(format!(
            "{no_path}, nor a URL below {base}; for another server start another run, with its `--base-url`"
        )),
    }
}

fn text(raw: &RawValue) -> Result<String, ()> {
    serde_json::from_str(raw.get()).map_err(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_model_changes() {
        for (body, changed) in [
            (
                r#"{"a": 1.0, "model" : "old" , "b":"\ud83d"}"#,
                r#"{"a": 1.0, "model" : "x\"y" , "b":"\ud83d"}"#,
            ),
            (r#"{"mod\u0065l":null}"#, r#"{"mod\u0065l":"x\"y"}"#),
            (r#"{ "in": {"model": 1}}"#, r#"{"model":"x\"y", "in": {"model": 1}}"#),
            ("{ }", r#"{"model":"x\"y" }"#),
        ] {
            assert_eq!(with_model(body, "x\"y").expect(body), changed);
        }
        assert!(with_model(r#"{"model":1,"model":2}"#, "x").is_err(), "nobody knows which of them counts");
    }
}
