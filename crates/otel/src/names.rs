//! Names and values of the conventions.

use opentelemetry::KeyValue;
use outbound::{Event, Operation};

pub(crate) const ERROR_TYPE: &str = "error.type";
pub(crate) const SERVER_ADDRESS: &str = "server.address";
pub(crate) const SERVER_PORT: &str = "server.port";
pub(crate) const OPERATION: &str = "gen_ai.operation.name";
pub(crate) const PROVIDER: &str = "gen_ai.provider.name";
pub(crate) const MODEL: &str = "gen_ai.request.model";
pub(crate) const STATUS_CODE: &str = "http.response.status_code";
pub(crate) const WAIT_REASON: &str = "outbound.wait.reason";

/// The value of `gen_ai.provider.name`: the well-known one, or else this crate's name of the provider.
pub(crate) fn provider(name: &str) -> String {
    let known = match name {
        "openai_responses" | "openai_embeddings" => "openai",
        "azure_openai" => "azure.ai.openai",
        "gemini" => "gcp.gemini",
        "mistral" => "mistral_ai",
        "moonshot" => "moonshot_ai",
        other => other,
    };
    known.to_owned()
}

/// The value of `gen_ai.operation.name`. Gemini's operation is named after its own API.
pub(crate) fn operation(event: &Event<'_>) -> &'static str {
    match event.operation {
        Operation::Chat if event.provider == "gemini" => "generate_content",
        operation => operation.as_str(),
    }
}

/// The name of an operation's span.
pub(crate) fn span(event: &Event<'_>) -> String {
    let operation = operation(event);
    event.model.map_or_else(|| operation.to_owned(), |model| format!("{operation} {model}"))
}

/// The attributes of an operation.
pub(crate) fn of_operation(event: &Event<'_>) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(8);
    attributes.push(KeyValue::new(OPERATION, operation(event)));
    if !event.provider.is_empty() {
        attributes.push(KeyValue::new(PROVIDER, provider(event.provider)));
    }
    if let Some(model) = event.model {
        attributes.push(KeyValue::new(MODEL, model.to_owned()));
    }
    attributes
}

/// The server that it was sent to, if it was sent.
pub(crate) fn of_server(event: &Event<'_>) -> impl Iterator<Item = KeyValue> + use<> {
    let server = event.server.map(|server| {
        let address = KeyValue::new(SERVER_ADDRESS, server.host().to_owned());
        [address, KeyValue::new(SERVER_PORT, i64::from(server.port()))]
    });
    server.into_iter().flatten()
}
