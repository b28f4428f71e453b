//! A prompt in each provider's format, and providers that are not listed.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use outbound_provider::{Auth, Charging, Class, Dimension, Prompt, Provider, Terminal};
use serde_json::{Value, json};

use crate::{headers, now};

fn body(prompt: Prompt<'_>) -> Value {
    serde_json::from_str(&prompt.body()).unwrap()
}

/// (provider, path, path of a stream, body, fields that only a stream has)
fn all() -> Vec<(Provider, &'static str, &'static str, Value, Value)> {
    let messages = json!([{"role": "system", "content": "S"}, {"role": "user", "content": "T"}]);
    let chat = json!({"model": "m", "messages": messages, "max_tokens": 9});
    let newer = json!({"model": "m", "messages": messages, "max_completion_tokens": 9});
    let stream = json!({"stream": true});
    let with_usage = json!({"stream": true, "stream_options": {"include_usage": true}});
    let at = "/chat/completions";
    let azure = "/openai/deployments/m/chat/completions?api-version=2024-10-21";
    vec![
        (Provider::openai(), at, at, newer.clone(), with_usage.clone()),
        (
            Provider::openai_responses(),
            "/responses",
            "/responses",
            json!({"model": "m", "input": "T", "instructions": "S", "max_output_tokens": 9}),
            stream.clone(),
        ),
        (
            Provider::openai_embeddings(),
            "/embeddings",
            "/embeddings",
            json!({"model": "m", "input": "T"}),
            json!({}),
        ),
        (
            Provider::anthropic(),
            "/messages",
            "/messages",
            json!({"model": "m", "system": "S", "messages": [{"role": "user", "content": "T"}], "max_tokens": 9}),
            stream.clone(),
        ),
        (
            Provider::gemini(),
            "/models/m:generateContent",
            "/models/m:streamGenerateContent?alt=sse",
            json!({"contents": [{"role": "user", "parts": [{"text": "T"}]}],
                "systemInstruction": {"parts": [{"text": "S"}]}, "generationConfig": {"maxOutputTokens": 9}}),
            json!({}),
        ),
        (
            Provider::azure_openai(),
            azure,
            azure,
            json!({"messages": messages, "max_completion_tokens": 9}),
            with_usage.clone(),
        ),
        (
            Provider::ollama(),
            "/api/chat",
            "/api/chat",
            json!({"model": "m", "messages": messages, "options": {"num_predict": 9}, "stream": false}),
            stream.clone(),
        ),
        (Provider::groq(), at, at, newer, stream.clone()),
        (Provider::mistral(), at, at, chat.clone(), stream.clone()),
        (Provider::openrouter(), at, at, chat.clone(), stream.clone()),
        (Provider::deepseek(), at, at, chat.clone(), with_usage.clone()),
        (Provider::dashscope(), at, at, chat.clone(), with_usage.clone()),
        (Provider::moonshot(), at, at, chat.clone(), stream.clone()),
        (Provider::zhipu(), at, at, chat.clone(), stream.clone()),
        (Provider::siliconflow(), at, at, chat.clone(), stream.clone()),
        (Provider::vllm(), at, at, chat.clone(), with_usage.clone()),
        (Provider::sglang(), at, at, chat.clone(), with_usage.clone()),
        (Provider::litellm(), at, at, chat.clone(), with_usage),
        (Provider::openai_compatible(), at, at, chat, stream),
    ]
}

#[test]
fn a_prompt_is_a_request_in_the_providers_format() {
    for (provider, path, stream_path, expected, streamed) in all() {
        let prompt = provider.prompt("m", "T").system("S").max_tokens(9);
        assert_eq!((&*prompt.path(), body(prompt)), (path, expected.clone()), "{}", provider.name());
        let prompt = prompt.stream(true);
        let mut expected = expected;
        for (name, value) in streamed.as_object().unwrap() {
            expected[name] = value.clone();
        }
        assert_eq!((&*prompt.path(), body(prompt)), (stream_path, expected), "{}", provider.name());
    }
}

/// The crate reads in the request what it wrote into it.
#[test]
fn a_prompt_says_what_it_asks_for() {
    for (provider, ..) in all() {
        let text = "How many litres of water does the Rhine carry to the sea in a second?";
        let body = provider.prompt("m", text).max_tokens(50).stream(true).body();
        let facts = provider.read_request(body.as_bytes()).unwrap();
        let name = provider.name();
        let embeds = name == "openai_embeddings";
        assert!(facts.chat || embeds, "{name}");
        assert_eq!(facts.model.is_some(), !provider.names_model_in_path(), "{name}");
        assert!((17..40).contains(&facts.estimate.input), "{name}: {:?}", facts.estimate);
        if !embeds {
            assert_eq!((facts.estimate.output, facts.estimate.output_stated), (50, true), "{name}");
            assert_eq!(facts.stream, name != "gemini", "{name}: Gemini's path says it");
        }
    }
}

#[test]
fn without_more_a_prompt_holds_no_more() {
    let prompt = Provider::openai().prompt("m", "T");
    assert_eq!(body(prompt), json!({"model": "m", "messages": [{"role": "user", "content": "T"}]}));
    assert_eq!(body(Provider::anthropic().prompt("m", "T"))["max_tokens"], 4_096);
    assert_eq!(Provider::http().prompt("m", "T").body(), "");
    let shown = format!("{:?}", Provider::openai().prompt("m", "CANARY").system("CANARY"));
    assert_eq!(shown, "Prompt { provider: \"openai\", path: \"/chat/completions\" }");
}

#[test]
fn a_model_has_its_place_in_the_path_and_cannot_leave_it() {
    let gemini = Provider::gemini();
    assert_eq!(gemini.path("models/gemini-2.5-pro", false), "/models/gemini-2.5-pro:generateContent");
    assert_eq!(gemini.path("a/../b?x=1#é", false), "/models/a%2F..%2Fb%3Fx%3D1%23%C3%A9:generateContent");
    let azure = Provider::azure_openai();
    assert_eq!(
        azure.path("models/x y", false),
        "/openai/deployments/models%2Fx%20y/chat/completions?api-version=2024-10-21"
    );
    assert!(gemini.names_model_in_path() && azure.names_model_in_path());
    assert!(!Provider::openai().names_model_in_path());
    assert_eq!(Provider::openai().path("../x", true), "/chat/completions");
}

const ACME: Provider = Provider::openai_compatible()
    .with_name("acme")
    .with_base_url("https://llm.acme.test/v2")
    .with_chat_path("/{model}/chat")
    .with_stream_path("/{model}/chat-stream")
    .with_auth(Auth::Header("x-acme-key"))
    .with_key_env("ACME_KEY")
    .with_default_headers(&[("x-acme-version", "7")])
    .with_charging(Charging::Actual)
    .with_cached_tokens_free(true)
    .with_codes(&[
        ("E42", Class::Overloaded),
        ("77", Class::QuotaSpent),
        ("content_filter", Class::Transient),
    ])
    .with_limit_windows(&[(Dimension::Requests, Duration::from_secs(3_600))]);

#[test]
fn a_provider_of_ones_own_is_data() {
    assert_eq!((ACME.name(), ACME.base_url()), ("acme", Some("https://llm.acme.test/v2")));
    assert_eq!((&*ACME.path("m", false), &*ACME.path("m", true)), ("/m/chat", "/m/chat-stream"));
    assert_eq!((ACME.auth(), ACME.key_env()), (Auth::Header("x-acme-key"), Some("ACME_KEY")));
    assert_eq!(ACME.default_headers(), [("x-acme-version", "7")]);
    assert_eq!((ACME.charging(), ACME.cached_tokens_are_free()), (Some(Charging::Actual), true));
    assert!(!ACME.documents_idempotency() && ACME.with_documented_idempotency().documents_idempotency());
    let class = |status: u16, body: &str| {
        let status = StatusCode::from_u16(status).unwrap();
        let fault = ACME.classify(status, &HeaderMap::new(), body.as_bytes(), now());
        (fault.class, fault.code)
    };
    assert_eq!(class(400, r#"{"error":{"code":"e42"}}"#), (Class::Overloaded, Some("e42".into())));
    assert_eq!(class(400, r#"{"error":{"code":77}}"#), (Class::QuotaSpent, Some("77".into())));
    assert_eq!(class(400, r#"{"error":{"code":"77"}}"#), (Class::QuotaSpent, Some("77".into())));
    // Its own codes go first, and all other codes keep their meaning.
    assert_eq!(class(400, r#"{"error":{"code":"content_filter"}}"#).0, Class::Transient);
    assert_eq!(
        class(400, r#"{"error":{"code":"context_length_exceeded"}}"#).0,
        Class::Terminal(Terminal::ContextLength)
    );
    // Also inside a stream and inside a success.
    let fault = ACME.stream().feed("", r#"{"error":{"code":"E42","message":"m"}}"#).unwrap_err();
    assert_eq!(fault.class, Class::Overloaded);
    assert_eq!(crate::read(ACME, r#"{"error":{"code":77}}"#).unwrap_err().class, Class::QuotaSpent);
    let told = headers(&[("x-ratelimit-limit-requests", "10"), ("x-ratelimit-limit-tokens", "10")]);
    let windows: Vec<_> =
        ACME.signals(&told, now()).iter().map(|s| (s.dimension, s.window, s.window_is_named)).collect();
    assert!(windows.contains(&(Dimension::Requests, Some(Duration::from_secs(3_600)), true)), "{windows:?}");
    assert!(windows.contains(&(Dimension::Tokens, None, false)), "{windows:?}");
    // A new path replaces the path of streams too.
    assert_eq!(Provider::gemini().with_chat_path("/x").path("m", true), "/x");
}
