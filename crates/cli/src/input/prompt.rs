//! Prompts. Each becomes a chat request in the format of the provider.

use outbound::{Provider, client::Method};
use serde_json::value::RawValue;

use super::{
    Reading,
    line::{Members, Sends, To, of_one_line},
    template,
};

/// A line to copy.
pub(super) const EXAMPLE: &str = r#"{"prompt": "Name a river."}"#;

/// What a line with a prompt sends. Options of the command line override members of the line.
pub(super) fn prompt(members: &Members<'_>, line: &str, reading: &Reading) -> Result<Sends, String> {
    let provider = reading.provider;
    if provider == Provider::http() {
        return Err(String::from(
            "it is a prompt, but with `--provider http` each line must be a request\na right line: {\"method\": \"POST\", \
             \"url\": \"/answers\", \"body\": {\"prompt\": \"Name a river.\"}}",
        ));
    }
    let model = match &reading.model {
        Some(model) => model.clone(),
        None => text("model", members.model)?.ok_or_else(|| {
            let why = "it names no model; name one for all lines with --model, such as `--model gpt-4o-mini`";
            format!("{why}\na right line: {{\"model\": \"gpt-4o-mini\", {}", &EXAMPLE[1..])
        })?,
    };
    let words = words(members, line, reading)?;
    let mut prompt = provider.prompt(&model, &words);
    let system = match &reading.system {
        Some(system) => Some(system.clone()),
        None => text("system", members.system)?,
    };
    if let Some(system) = &system {
        prompt = prompt.system(system);
    }
    let max_tokens = match reading.max_tokens {
        Some(tokens) => Some(tokens),
        None => members.max_tokens.map(number).transpose()?.flatten(),
    };
    if let Some(tokens) = max_tokens {
        prompt = prompt.max_tokens(tokens);
    }
    if provider == Provider::openai_embeddings() && (system.is_some() || max_tokens.is_some()) {
        return Err(String::from(
            "a request for an embedding cannot have a system prompt or a maximum of tokens",
        ));
    }
    let (url, body) = (prompt.path().into_owned(), prompt.body());
    let body = RawValue::from_string(body).map_err(|error| of_one_line(&error))?;
    let model = provider.names_model_in_path().then_some(model);
    Ok(Sends { method: Method::POST, url, to: To::Chat, model, body: Some(body) })
}

/// The text of the prompt, with the template applied.
fn words(members: &Members<'_>, line: &str, reading: &Reading) -> Result<String, String> {
    let column = reading.column.as_str();
    let words = match (&reading.template, column) {
        (Some(template), _) => template.render(&all(line)?, column)?,
        (None, "prompt") => text(column, members.prompt)?.unwrap_or_default(),
        (None, _) => text(column, all(line)?.get(column).map(|raw| &**raw))?.unwrap_or_default(),
    };
    if words.trim().is_empty() {
        return Err(format!("`{column}` is empty"));
    }
    Ok(words)
}

/// Every member of a line.
pub(super) fn all(line: &str) -> Result<template::Members, String> {
    serde_json::from_str(line).map_err(|error| of_one_line(&error))
}

/// A member that is a string. An empty one counts as missing: a table has empty cells.
fn text(name: &str, member: Option<&RawValue>) -> Result<Option<String>, String> {
    let Some(raw) = member else { return Ok(None) };
    if !raw.get().starts_with('"') && raw.get() != "null" {
        return Err(format!("`{name}` is not a string"));
    }
    let text: String = serde_json::from_str(raw.get())
        .map_err(|error| format!("`{name}` is not a string: {}", of_one_line(&error)))?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// A number of tokens. In a table it is a string.
fn number(raw: &RawValue) -> Result<Option<u64>, String> {
    match raw.get().trim_matches('"') {
        "" => Ok(None),
        digits => match digits.parse() {
            Ok(tokens) if tokens > 0 => Ok(Some(tokens)),
            _ => Err(format!("`max_tokens` is {}, which is not a number of tokens", raw.get())),
        },
    }
}
