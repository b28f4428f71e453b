//! The contract: defaults, names, and which auto traits the types have.

use std::{fmt::Debug, time::Duration};

use http::StatusCode;
use outbound_provider::{
    Auth, Charging, Class, Delta, Dimension, Estimate, Fault, Framing, JsonSplitter, NotJson, Prompt,
    Provider, RequestFacts, Reset, Signal, Signals, StreamItem, StreamReader, Success, Terminal, TooLong,
    ToolCallDelta, Truncated, Usage,
};

use crate::{headers, now};

#[test]
fn every_public_type_is_send_sync_unpin_and_debug() {
    fn check<T: Send + Sync + Unpin + Debug + 'static>() {}
    fn copy<T: Copy>() {}
    fn error<T: std::error::Error>() {}
    check::<(Auth, Class, Dimension, Estimate, Fault, Provider, Reset, Signal)>();
    check::<(Signals, StreamItem, StreamReader, Terminal, Truncated, Usage)>();
    check::<(Charging, NotJson, RequestFacts, Success)>();
    check::<(Delta, Framing, JsonSplitter, Prompt<'static>, ToolCallDelta, TooLong)>();
    copy::<(Auth, Charging, Class, Dimension, Estimate, NotJson, Provider, Reset, Signal, Terminal, Usage)>();
    error::<Fault>();
    copy::<(Framing, Prompt<'static>, TooLong)>();
    error::<NotJson>();
    error::<TooLong>();
    error::<Truncated>();
}

/// Name, address, path, how the key is sent, and the variable that holds it.
type Row = (Provider, &'static str, Option<&'static str>, &'static str, Auth, Option<&'static str>);

fn rows() -> Vec<Row> {
    const AZURE: &str = "/openai/deployments/{model}/chat/completions?api-version=2024-10-21";
    let openai = Some("https://api.openai.com/v1");
    let openai_key = Some("OPENAI_API_KEY");
    let bearer = Auth::Bearer;
    let chat = "/chat/completions";
    let compatible =
        |provider: Provider, name, url, key| (provider, name, Some(url), chat, bearer, Some(key));
    vec![
        (Provider::openai(), "openai", openai, chat, bearer, openai_key),
        (Provider::openai_responses(), "openai_responses", openai, "/responses", bearer, openai_key),
        (Provider::openai_embeddings(), "openai_embeddings", openai, "/embeddings", bearer, openai_key),
        (
            Provider::anthropic(),
            "anthropic",
            Some("https://api.anthropic.com/v1"),
            "/messages",
            Auth::Header("x-api-key"),
            Some("ANTHROPIC_API_KEY"),
        ),
        (
            Provider::gemini(),
            "gemini",
            Some("https://generativelanguage.googleapis.com/v1beta"),
            "/models/{model}:generateContent",
            Auth::Header("x-goog-api-key"),
            Some("GEMINI_API_KEY"),
        ),
        (
            Provider::azure_openai(),
            "azure_openai",
            None,
            AZURE,
            Auth::Header("api-key"),
            Some("AZURE_OPENAI_API_KEY"),
        ),
        compatible(Provider::mistral(), "mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
        compatible(Provider::groq(), "groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
        compatible(
            Provider::openrouter(),
            "openrouter",
            "https://openrouter.ai/api/v1",
            "OPENROUTER_API_KEY",
        ),
        compatible(Provider::deepseek(), "deepseek", "https://api.deepseek.com", "DEEPSEEK_API_KEY"),
        compatible(
            Provider::dashscope(),
            "dashscope",
            "https://dashscope.aliyuncs.com/compatible-mode/v1",
            "DASHSCOPE_API_KEY",
        ),
        compatible(Provider::moonshot(), "moonshot", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
        compatible(Provider::zhipu(), "zhipu", "https://open.bigmodel.cn/api/paas/v4", "ZHIPUAI_API_KEY"),
        compatible(
            Provider::siliconflow(),
            "siliconflow",
            "https://api.siliconflow.com/v1",
            "SILICONFLOW_API_KEY",
        ),
        (
            Provider::ollama(),
            "ollama",
            Some("http://127.0.0.1:11434"),
            "/api/chat",
            bearer,
            Some("OLLAMA_API_KEY"),
        ),
        compatible(Provider::vllm(), "vllm", "http://127.0.0.1:8000/v1", "VLLM_API_KEY"),
        (Provider::sglang(), "sglang", Some("http://127.0.0.1:30000/v1"), chat, bearer, None),
        (Provider::litellm(), "litellm", None, chat, bearer, Some("LITELLM_API_KEY")),
        (Provider::openai_compatible(), "openai_compatible", None, chat, bearer, openai_key),
        (Provider::http(), "http", None, "", bearer, None),
    ]
}

#[test]
fn the_defaults_are_those_of_the_docs() {
    const _: Provider = Provider::openai();
    let all: Vec<Provider> = rows().iter().map(|row| row.0).collect();
    assert_eq!(Provider::ALL, all);
    assert_eq!(Provider::named("nobody"), None);
    for (provider, name, url, path, auth, key) in rows() {
        assert_eq!((provider.name(), provider.base_url(), provider.chat_path()), (name, url, path));
        assert_eq!(Provider::named(name), Some(provider));
        assert_eq!((provider.auth(), provider.key_env()), (auth, key), "{name}");
        let headers: &[_] = if name == "anthropic" { &[("anthropic-version", "2023-06-01")] } else { &[] };
        assert_eq!(provider.default_headers(), headers, "{name}");
        let charging = match name {
            "openai" | "openai_responses" | "openai_embeddings" | "azure_openai" => Some(Charging::Estimate),
            "anthropic" => Some(Charging::Settle),
            "litellm" => Some(Charging::Actual),
            _ => None,
        };
        assert_eq!(provider.charging(), charging, "{name}");
        assert_eq!(provider.cached_tokens_are_free(), matches!(name, "anthropic" | "groq"), "{name}");
        assert!(!provider.documents_idempotency(), "{name}");
        assert!(provider.with_documented_idempotency().documents_idempotency());
        assert!(url.is_none_or(|url| !url.ends_with('/')) && (path.is_empty() || path.starts_with('/')));
    }
}

#[test]
fn the_names_of_classes_are_stable() {
    let names = [
        (Class::RateLimited, "rate_limited", true),
        (Class::RampLimited, "ramp_limited", true),
        (Class::Overloaded, "overloaded", true),
        (Class::Transient, "transient", true),
        (Class::Ambiguous, "ambiguous", true),
        (Class::Unreadable, "unreadable", true),
        (Class::StreamBroken, "stream_broken", true),
        (Class::QuotaSpent, "quota_spent", false),
        (Class::Terminal(Terminal::BadRequest), "bad_request", false),
        (Class::Terminal(Terminal::Auth), "auth", false),
        (Class::Terminal(Terminal::Forbidden), "forbidden", false),
        (Class::Terminal(Terminal::NotFound), "not_found", false),
        (Class::Terminal(Terminal::TooLarge), "too_large", false),
        (Class::Terminal(Terminal::ContextLength), "context_length", false),
        (Class::Terminal(Terminal::ContentFilter), "content_filter", false),
        (Class::Terminal(Terminal::Unexpected), "unexpected", false),
    ];
    for (class, name, retryable) in names {
        assert_eq!((class.as_str(), class.is_retryable()), (name, retryable));
        assert_eq!(Fault::new(class).is_retryable(), retryable);
    }
}

#[test]
fn a_fault_says_what_happened_in_one_line() {
    let body = br#"{"error":{"message":"Slow\ndown","code":"rate_limit_exceeded"}}"#;
    let told = headers(&[("retry-after", "2")]);
    let fault = Provider::openai().classify(StatusCode::TOO_MANY_REQUESTS, &told, body, now());
    assert_eq!(fault.to_string(), "rate limited (rate_limit_exceeded), told to wait 2s: Slow down");
    assert_eq!(Fault::new(Class::Overloaded).to_string(), "provider overloaded");
    assert_eq!(fault.wait, Some(Duration::from_secs(2)));
}

#[test]
fn no_key_that_a_server_echoes_is_shown() {
    let canary = "CANARY0123456789";
    let echoes = [
        format!("Incorrect API key provided: sk-{canary}. Find yours in the settings."),
        format!("Incorrect API key provided: \\\"sk-proj-{canary}\\\""),
        format!("bad token Bearer {canary}"),
        format!("bad token bearer\\t{canary}"),
        format!("GET https://api.example.com/v1/models?key={canary} failed"),
        format!("cannot reach https://user:{canary}@api.example.com/v1"),
        format!("key=AIza{canary} is not valid"),
        format!("(gsk_{canary})"),
        format!("api_key={canary}"),
        format!("x:hf_{canary}"),
    ];
    for echo in echoes {
        let bodies = [
            format!(r#"{{"error":{{"message":"{echo}","code":"sk-{canary}"}}}}"#),
            format!(r#"{{"error":"{echo}"}}"#),
            echo.replace("\\t", "\t").replace('\\', ""),
        ];
        for body in bodies {
            for provider in [Provider::openai(), Provider::http()] {
                let fault =
                    provider.classify(StatusCode::UNAUTHORIZED, &headers(&[]), body.as_bytes(), now());
                assert!(!format!("{fault} {fault:?} {fault:#?}").contains(canary), "{body}: {fault:?}");
            }
        }
    }
}

#[test]
fn ordinary_words_are_left_alone() {
    let text = "A risk-free task, see https://example.com/docs/key-value?x (sk-1, half_full, eyJ, key-value)";
    let body = format!(r#"{{"error":"{text}"}}"#);
    let fault = Provider::openai().classify(StatusCode::BAD_REQUEST, &headers(&[]), body.as_bytes(), now());
    assert_eq!(fault.message, Some(text.replace("?x", "?[redacted]")));
}

#[test]
fn messages_and_codes_are_bounded() {
    let long = "é".repeat(100_000);
    let body = format!(r#"{{"error":{{"message":"{long}","code":"{long}"}}}}"#);
    let fault = Provider::openai().classify(StatusCode::BAD_REQUEST, &headers(&[]), body.as_bytes(), now());
    assert_eq!(fault.message.map(|message| message.len()), Some(2_048));
    assert_eq!(fault.code.map(|code| code.len()), Some(64));
    let huge = format!(r#"{{"error":{{"message":"{}"}}}}"#, "x".repeat(2 << 20));
    let fault = Provider::openai().classify(StatusCode::BAD_REQUEST, &headers(&[]), huge.as_bytes(), now());
    assert_eq!((fault.class, fault.message), (Class::Terminal(Terminal::BadRequest), None));
}
