//! One line of the input: its id, and the request that it sends.

use std::sync::Arc;

use outbound::{Provider, Request, client::Method, provider::RequestFacts};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    Reading, batch,
    options::Options,
    prompt,
    record::{Kind, Place, Record, Wrong},
};
use crate::{exit::Stop, identity::Digest};

/// One line, read and checked.
#[derive(Debug)]
pub(crate) struct Line {
    /// Counted from 1. For an element of an array: the line where it begins.
    pub(crate) number: u64,
    pub(crate) custom_id: String,
    /// The line as JSON, to be written to the list of failed lines. It is unchanged if the input is JSON, except that an id
    /// that was made is added.
    pub(crate) text: String,
    /// The kind of line, as `check` prints it.
    pub(crate) form: &'static str,
    element: Option<u64>,
    pub(super) sends: Sends,
    options: Options,
    reading: Arc<Reading>,
}

/// All that another machine needs to send a line. Its id is not in it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Payload {
    /// The number of the line, counted from 1.
    pub(crate) line: u64,
    /// The fingerprint of what is sent.
    pub(crate) request: Digest,
    sends: Sends,
    outbound: Options,
}

/// What a line sends. What is checked is what is sent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sends {
    #[serde(serialize_with = "write_method", deserialize_with = "read_method")]
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) to: To,
    /// Only where the provider has the model in the path and not in the body.
    pub(super) model: Option<String>,
    pub(super) body: Option<Box<RawValue>>,
}

fn write_method<S: serde::Serializer>(method: &Method, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(method.as_str())
}

fn read_method<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Method, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

/// What the `url` of a line is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum To {
    /// The provider's own path for a chat.
    Chat,
    /// A path as in a batch file. It may repeat the end of the path of the base URL.
    Batch,
    /// A path below the base URL.
    Base,
}

/// The members that are read. A template can use any other member; without a template others are ignored.
#[derive(Deserialize)]
pub(super) struct Members<'a> {
    #[serde(borrow)]
    pub(super) custom_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) method: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) url: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) body: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) params: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) prompt: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) system: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) model: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) max_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    outbound: Option<&'a RawValue>,
}

impl Line {
    /// Reads a record. The id is empty if the record has none.
    pub(super) fn parse(record: Record, reading: &Arc<Reading>) -> Result<Self, Wrong> {
        let Record { place, text, kind } = record;
        match Self::read(&text, kind, reading) {
            Ok((form, custom_id, sends, options)) => {
                let (number, element, reading) = (place.line, place.element, reading.clone());
                Ok(Self { number, custom_id, text, form, element, sends, options, reading })
            }
            Err(why) => Err(Wrong::at(place, why)),
        }
    }

    fn read(
        text: &str,
        kind: Kind,
        reading: &Reading,
    ) -> Result<(&'static str, String, Sends, Options), String> {
        // The parser would also accept an array with the values in order.
        if !text.starts_with('{') {
            return Err(no_object(text));
        }
        let members: Members<'_> = serde_json::from_str(text).map_err(|error| {
            let why = of_one_line(&error);
            format!("{why}; each line must be one whole JSON object\na right line: {}", prompt::EXAMPLE)
        })?;
        let form = match kind {
            Kind::Json => Form::of(&members, text, reading)?,
            Kind::Plain | Kind::Row => Form::Prompt,
        };
        let id = members.custom_id.or(members.id.filter(|_| form == Form::Prompt));
        let custom_id = id.map(|id| read_id(id, form)).transpose()?.unwrap_or_default();
        let sends = match form {
            Form::OpenAi => batch::openai(&members, reading),
            Form::Anthropic => batch::anthropic(&members, reading),
            Form::Prompt => prompt::prompt(&members, text, reading),
        }?;
        let options = match members.outbound.map(RawValue::get) {
            None => Options::default(),
            Some(object) if object.starts_with('{') => serde_json::from_str(object)
                .map_err(|error| format!("`outbound`: {}", of_one_line(&error)))?,
            Some(_) => return Err(String::from("`outbound` is not an object, such as {\"priority\": 1}")),
        };
        let name = match (form, kind) {
            (Form::OpenAi, _) => "OpenAI batch",
            (Form::Anthropic, _) => "Anthropic batch",
            (Form::Prompt, Kind::Json) => "prompt",
            (Form::Prompt, Kind::Plain) => "plain text",
            (Form::Prompt, Kind::Row) => "CSV",
        };
        match options.wrong() {
            Some(why) => Err(why.to_owned()),
            None => Ok((name, custom_id, sends, options)),
        }
    }

    /// Sets an id that was made, also in the text.
    pub(super) fn name(&mut self, id: String) {
        if !self.text.contains("\"custom_id\"") {
            let comma = if self.text[1..].trim_start().starts_with('}') { "" } else { ", " };
            self.text.insert_str(1, &format!("\"custom_id\": \"{id}\"{comma}"));
        }
        self.custom_id = id;
    }

    /// A digest of method, URL and body: lines that send the same have the same one. The member `outbound` does not count.
    pub(crate) fn fingerprint(&self) -> Digest {
        let parts = [self.sends.method.as_str(), "\n", &self.sends.url, "\n", self.body()];
        Digest::of(&parts.map(str::as_bytes))
    }

    /// Reads the model and the token limits in the body, in the format of the provider.
    pub(crate) fn check(&self) -> Result<RequestFacts, Stop> {
        let facts = self.reading.provider.read_request(self.body().as_bytes());
        let mut facts = facts.map_err(|error| self.reading.stop(&Wrong::at(self.place(), error)))?;
        if self.sends.model.is_some() {
            facts.model.clone_from(&self.sends.model);
        }
        Ok(facts)
    }

    /// The request to send. `base_path` is the path of the base URL.
    pub(crate) fn into_request(self, base_path: &str) -> Request {
        let (id, payload) = self.into_payload();
        payload.into_request(id, base_path)
    }

    /// The id, and all else that is needed to send it.
    pub(crate) fn into_payload(self) -> (String, Payload) {
        let (line, request) = (self.number, self.fingerprint());
        (self.custom_id, Payload { line, request, sends: self.sends, outbound: self.options })
    }

    pub(super) fn place(&self) -> Place {
        Place { line: self.number, element: self.element }
    }

    /// The body, or an empty text if there is none.
    pub(crate) fn body(&self) -> &str {
        self.sends.body.as_ref().map_or("", |body| body.get())
    }
}

impl Payload {
    /// The request to send. Its path is relative to the base URL, whose last part is not repeated: with a base URL that ends in
    /// `/openai/v1`, the path `/v1/chat/completions` becomes `/chat/completions`.
    pub(crate) fn into_request(self, id: String, base_path: &str) -> Request {
        let Sends { method, url, to, model, body } = self.sends;
        let path = if to == To::Batch { below(base_path, &url).to_owned() } else { url };
        let request = match body {
            Some(body) if to == To::Chat => Request::chat(&body),
            Some(body) if method == Method::POST => {
                Request::post_raw(path, Box::<str>::from(body).into_string())
            }
            Some(body) => Request::new(method, path).json(&body),
            None => Request::new(method, path),
        };
        let request = match model {
            Some(model) => request.model(model),
            None => request,
        };
        self.outbound.apply(request.id(id))
    }

    /// The model and the token limits, in the format of the provider.
    pub(crate) fn facts(&self, provider: Provider) -> RequestFacts {
        // It was checked before it was put into the database.
        let mut facts = provider.read_request(self.body().as_bytes()).unwrap_or_default();
        if self.sends.model.is_some() {
            facts.model.clone_from(&self.sends.model);
        }
        facts
    }

    /// The body, or an empty text if there is none.
    pub(crate) fn body(&self) -> &str {
        self.sends.body.as_ref().map_or("", |body| body.get())
    }

    /// Its priority; 0 if the line names none.
    pub(crate) fn priority(&self) -> i32 {
        self.outbound.priority.unwrap_or_default()
    }
}

/// Which shape a line has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    OpenAi,
    Anthropic,
    Prompt,
}

impl Form {
    fn of(members: &Members<'_>, text: &str, reading: &Reading) -> Result<Self, String> {
        let is_object = |member: Option<&RawValue>| member.is_some_and(|raw| raw.get().starts_with('{'));
        match () {
            () if is_object(members.params) => Ok(Self::Anthropic),
            () if is_object(members.body) => Ok(Self::OpenAi),
            () if reading.is_prompt(members, text) => Ok(Self::Prompt),
            () if members.params.is_some() => Ok(Self::Anthropic),
            () if members.body.or(members.url).or(members.method).is_some() => Ok(Self::OpenAi),
            () => Err(format!(
                "it has no `{}`, no `body` and no `params`\na right line: {}",
                reading.column,
                prompt::EXAMPLE
            )),
        }
    }
}

/// Reads an id. In a batch format it is a string; prompts often have a number.
fn read_id(id: &RawValue, form: Form) -> Result<String, String> {
    let text = match id.get().as_bytes()[0] {
        b'"' => {
            serde_json::from_str(id.get()).map_err(|error| format!("`custom_id` is not a string: {error}"))?
        }
        b'0'..=b'9' | b'-' if form == Form::Prompt => id.get().to_owned(),
        _ => return Err(format!("`custom_id` is not a string: write \"{}\"", id.get().replace('"', "'"))),
    };
    if text.is_empty() {
        return Err(String::from("`custom_id` is empty; leave it out to have one made"));
    }
    Ok(text)
}

/// The error for a line that is not an object. It may be a mistake, so it is not sent as a prompt, which would be paid for.
fn no_object(text: &str) -> String {
    let why = if text.starts_with('[') {
        "it begins with `[`, but an array must be the whole file"
    } else {
        "it is not a JSON object; to send each line as a prompt, use `--format plain`"
    };
    format!("{why}\na right line: {}", prompt::EXAMPLE)
}

/// An error of the JSON parser, without its line number, which is always 1.
pub(super) fn of_one_line(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", ", at column ")
}

/// The path without its first segments, if the base path ends with the same segments.
fn below<'a>(base: &str, path: &'a str) -> &'a str {
    let base = base.trim_end_matches('/');
    let mut ends = path.rmatch_indices('/').map(|(end, _)| end).filter(|end| *end > 0);
    let overlap = ends.find(|end| base.ends_with(&path[..*end]));
    overlap.map_or(path, |end| &path[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_does_not_repeat_the_end_of_the_base_path() {
        for (base, url, path) in [
            ("/v1", "/v1/chat/completions", "/chat/completions"),
            ("/v1/", "/v1/chat/completions", "/chat/completions"),
            ("/openai/v1", "/v1/chat/completions", "/chat/completions"),
            ("", "/v1/chat/completions", "/v1/chat/completions"),
            ("/", "/v1/chat/completions", "/v1/chat/completions"),
            ("/api", "/v1/chat/completions", "/v1/chat/completions"),
            ("/xv1", "/v1/chat/completions", "/v1/chat/completions"),
            ("/v1/chat", "/v1/chat/completions", "/completions"),
        ] {
            assert_eq!(below(base, url), path, "{base}");
        }
    }
}
