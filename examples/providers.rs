//! Providers: one program for many of them, and what each one's refusals mean.
//!
//! ```sh
//! cargo run --example providers
//! ```
//!
//! The addresses are those of a simulated provider on the loopback interface. Leave `base_url` out, and each request goes
//! to the provider itself.

use std::time::SystemTime;

use outbound::{
    Endpoint, Provider, Request, RequestManager, RequestManagerBuilder,
    client::{HeaderMap, StatusCode},
};
use outbound_examples::{Result, heading};
use outbound_simulator::Simulator;

/// A provider, and one of its models.
const PROVIDERS: [(Provider, &str); 8] = [
    (Provider::dashscope(), "qwen-plus"),
    (Provider::deepseek(), "deepseek-flash"),
    (Provider::moonshot(), "kimi-k2.6"),
    (Provider::zhipu(), "glm-4-flash"),
    (Provider::openai(), "gpt-4o-mini"),
    (Provider::anthropic(), "claude-3-5-haiku-latest"),
    (Provider::gemini(), "gemini-2.0-flash"),
    (Provider::ollama(), "qwen2.5"),
];

#[tokio::main]
async fn main() -> Result {
    addresses();
    let server = Simulator::builder().output_tokens(3..=3).build();
    let address = server.listen("127.0.0.1:0").await?;
    ask_all(&format!("http://{address}")).await?;
    refusals()?;
    replies()?;
    server.shutdown().await;
    Ok(())
}

fn addresses() {
    heading("What is known of each: its address, and the variable that holds its key");
    for (provider, _) in PROVIDERS {
        println!(
            "{}: {}, {}",
            provider.name(),
            provider.base_url().unwrap_or("an address of your own"),
            provider.key_env().unwrap_or("no key")
        );
        // A name from a file or a command line will do as well.
        assert_eq!(Provider::named(provider.name()).map(|named| named.name()), Some(provider.name()));
    }
}

async fn ask_all(server: &str) -> Result {
    heading("One manager for all of them: each request says to whom it goes");
    let with_endpoint = |builder: RequestManagerBuilder, (provider, _): (Provider, &str)| {
        // For the provider itself: `.key(std::env::var(provider.key_env().unwrap())?)`, and no `base_url`.
        let endpoint = Endpoint::new(provider).base_url(format!("{server}/v1")).key("a-key");
        builder.endpoint(provider.name(), endpoint)
    };
    let manager = PROVIDERS.into_iter().fold(RequestManager::builder(), with_endpoint).build()?;

    // A prompt is put in each provider's own form, and the answer is read from it.
    let requests = PROVIDERS.map(|(provider, model)| {
        Request::prompt(model, "Name a river.").system("One word.").max_tokens(10).to(provider.name())
    });
    let mut outcomes = manager.batch(requests).in_order();
    for (provider, model) in PROVIDERS {
        let outcome = outcomes.next().await.ok_or("each request has an outcome")?;
        let reply = outcome.result?;
        let as_openai = reply.as_openai().ok_or("it is an answer")?;
        println!("{} {model}: {}", provider.name(), reply.content().unwrap_or_default());
        // Whoever gave the answer: in the form of OpenAI's, where a program expects that one.
        assert_eq!(as_openai["choices"][0]["message"]["content"].as_str(), reply.content().as_deref());
    }
    Ok(())
}

fn refusals() -> Result {
    heading("What a refusal means: each provider has words of its own");
    let refusals = [
        (
            Provider::dashscope(),
            429,
            r#"{"error": {"code": "Throttling.RateQuota", "message": "Requests rate limit exceeded"}}"#,
        ),
        (
            Provider::dashscope(),
            400,
            r#"{"error": {"code": "Arrearage", "message": "Access denied, account overdue"}}"#,
        ),
        (
            Provider::deepseek(),
            402,
            r#"{"error": {"message": "Insufficient Balance", "code": "invalid_request_error"}}"#,
        ),
        (
            Provider::moonshot(),
            429,
            r#"{"error": {"type": "engine_overloaded_error", "message": "overloaded"}}"#,
        ),
        (
            Provider::moonshot(),
            429,
            r#"{"error": {"type": "exceeded_current_quota_error", "message": "no balance"}}"#,
        ),
        (Provider::zhipu(), 429, r#"{"error": {"code": "1302", "message": "too many requests"}}"#),
        (Provider::zhipu(), 429, r#"{"error": {"code": "1113", "message": "no balance"}}"#),
        (
            Provider::openai(),
            429,
            r#"{"error": {"code": "insufficient_quota", "message": "exceeded your current quota"}}"#,
        ),
    ];
    for (provider, status, body) in refusals {
        let status = StatusCode::from_u16(status)?;
        let fault = provider.classify(status, &HeaderMap::new(), body.as_bytes(), SystemTime::now());
        let code = fault.code.as_deref().unwrap_or_default();
        let retry = if fault.is_retryable() { "worth another attempt" } else { "not worth another attempt" };
        println!("{} {} {code}: {}, {retry}", provider.name(), status.as_u16(), fault.class.as_str());
    }
    Ok(())
}

fn replies() -> Result {
    heading("What a reply says: its limits, its text, and whether a stream is whole");
    let provider = Provider::deepseek();
    let mut headers = HeaderMap::new();
    headers.insert("x-ratelimit-limit-requests", "500".parse()?);
    headers.insert("x-ratelimit-remaining-requests", "499".parse()?);
    for signal in provider.signals(&headers, SystemTime::now()).iter() {
        println!("{:?}: {:?} of {:?} left", signal.dimension, signal.remaining, signal.limit);
    }

    // A stream that ends without its end marker is not whole, however good its text looks.
    for end in [&["[DONE]"][..], &[]] {
        let mut stream = provider.stream();
        let pieces = [r#"{"choices": [{"index": 0, "delta": {"content": "Tagus"}}]}"#];
        for data in pieces.iter().chain(end) {
            stream.feed("", data).map_err(|fault| fault.class.as_str())?;
        }
        println!("{:?}, whole: {}", stream.text(), stream.is_complete());
        assert_eq!(stream.is_complete(), !end.is_empty());
    }
    Ok(())
}
