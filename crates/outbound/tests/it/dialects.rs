//! Prompts, and streams of providers with formats of their own.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use futures::FutureExt;
use outbound::{Client, ErrorKind, Origin, Provider, Request, RequestManager, RequestManagerBuilder, Route};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use crate::stack::{self, KEY};

/// The requests that a server has received, as text.
type Seen = Arc<Mutex<Vec<String>>>;

/// A manager whose server sends this reply to each request, with this content type, one part after another.
fn manager(
    provider: Provider,
    content_type: &'static str,
    pieces: &'static [&'static str],
) -> (RequestManagerBuilder, Seen) {
    manager_of(provider, content_type, vec![pieces])
}

/// As [`manager`], with one reply for each connection. The last reply is used for all later ones.
fn manager_of(
    provider: Provider,
    content_type: &'static str,
    replies: Vec<&'static [&'static str]>,
) -> (RequestManagerBuilder, Seen) {
    let seen = Seen::default();
    let notes = Arc::clone(&seen);
    let dials = AtomicUsize::new(0);
    let client = Client::builder().connector(move |_: &Origin| {
        let (near, far) = duplex(1 << 16);
        let pieces = replies[dials.fetch_add(1, Ordering::Relaxed).min(replies.len() - 1)];
        tokio::spawn(answer(far, content_type, pieces, Arc::clone(&notes)));
        async move { Ok(near) }
    });
    let manager =
        RequestManager::builder().provider(provider).base_url("http://h.test/v1").key(KEY).client(client);
    (manager.max_attempts(1), seen)
}

async fn answer(
    mut pipe: DuplexStream,
    content_type: &str,
    pieces: &[&str],
    seen: Seen,
) -> std::io::Result<()> {
    let mut request = vec![0; 1 << 16];
    let read = pipe.read(&mut request).await?;
    seen.lock().expect("no panic").push(String::from_utf8_lossy(&request[..read]).into_owned());
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\nconnection: close\r\n\r\n");
    pipe.write_all(head.as_bytes()).await?;
    for piece in pieces {
        pipe.write_all(piece.as_bytes()).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

const GEMINI: &str = r#"{"candidates":[{"content":{"parts":[{"text":"Rhine"}],"role":"model"}}]}"#;
const GEMINI_END: &str = r#"{"candidates":[{"content":{"parts":[{"text":", Elbe"}],"role":"model"},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":5,"totalTokenCount":9}}"#;

/// Two items of an array. The last one has no end.
const ARRAY: &[&str] = &["[", GEMINI, "\n,\r\n", GEMINI_END, "]"];
const EVENTS: &[&str] = &["data: ", GEMINI, "\n\n", "data: ", GEMINI_END, "\n\n"];
const CUT: &[&str] = &["data: ", GEMINI, "\n\n"];
const OLLAMA: &[&str] = &[
    "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"Rhine\"},\"done\":false}\n{\"model\":\"m\",\"mess",
    "age\":{\"role\":\"assistant\",\"content\":\", Elbe\"},\"done\":false}\n",
    "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":4,\"eval_count\":5}\n",
];

#[tokio::test(start_paused = true)]
async fn streams_of_every_framing_are_delivered() {
    let contents = json!({"contents": [{"role": "user", "parts": [{"text": "Two rivers?"}]}]});
    let array = Request::post("/models/m:streamGenerateContent", &contents);
    let prompt = || Request::prompt("m", "Two rivers?");
    for (name, provider, content_type, pieces, request) in [
        ("gemini, events", Provider::gemini(), "text/event-stream", EVENTS, prompt()),
        ("gemini, an array", Provider::gemini(), "application/json; charset=UTF-8", ARRAY, array),
        ("ollama", Provider::ollama(), "application/x-ndjson", OLLAMA, prompt()),
    ] {
        let (manager, _seen) = manager(provider, content_type, pieces);
        let manager = manager.build().expect("a manager");
        let mut reply = manager.stream(request.clone());
        let mut texts = Vec::new();
        while let Some(item) = reply.next().await {
            texts.push(item.unwrap_or_else(|error| panic!("{name}: {error}")).text().to_owned());
        }
        texts.retain(|text| !text.is_empty());
        assert_eq!(texts, ["Rhine", ", Elbe"], "{name}");
        let outcome = reply.outcome().await;
        assert_eq!(outcome.usage.map(|usage| (usage.input, usage.output)), Some((4, 5)), "{name}");
        let reply = outcome.result.expect("an answer");
        assert_eq!(reply.content().as_deref(), Some("Rhine, Elbe"), "{name}");
        let openai = reply.as_openai().expect("an answer");
        assert_eq!(openai["choices"][0]["message"]["content"], "Rhine, Elbe", "{name}");
    }
}

/// Only the provider's own end marker makes it a success.
#[tokio::test(start_paused = true)]
async fn a_stream_of_gemini_without_its_end_is_broken() {
    let (manager, _seen) = manager(Provider::gemini(), "text/event-stream", CUT);
    let manager = manager.build().expect("a manager");
    let outcome = manager.stream(Request::prompt("m", "Two rivers?")).outcome().await;
    let error = outcome.result.expect_err("it was cut");
    assert_eq!((error.kind(), error.partial()), (ErrorKind::StreamBroken, Some("Rhine")));
}

/// The same prompt in the format of each provider, with and without a stream.
#[tokio::test(start_paused = true)]
async fn a_prompt_is_written_as_the_provider_has_it() {
    for (provider, plain, streamed, holds) in [
        (
            Provider::openai_compatible(),
            "POST /v1/chat/completions ",
            "POST /v1/chat/completions ",
            "\"stream\":true",
        ),
        (Provider::anthropic(), "POST /v1/messages ", "POST /v1/messages ", "\"max_tokens\":77"),
        (
            Provider::gemini(),
            "POST /v1/models/m:generateContent ",
            "POST /v1/models/m:streamGenerateContent?alt=sse ",
            "\"contents\":",
        ),
        (Provider::ollama(), "POST /v1/api/chat ", "POST /v1/api/chat ", "\"num_predict\":77"),
    ] {
        let name = provider.name();
        let (manager, seen) = manager(provider, "application/json", &["{}"]);
        let manager = manager.build().expect("a manager");
        let request = || Request::prompt("m", "Two rivers?").system("Be short.").max_tokens(77);
        let _ = manager.send(request()).await;
        let _ = manager.stream(request()).outcome().await;
        let seen = seen.lock().expect("no panic").clone();
        assert!(seen[0].starts_with(plain) && seen[1].starts_with(streamed), "{name}: {seen:?}");
        assert!(seen[1].contains(holds) && seen[0].contains("Be short."), "{name}: {seen:?}");
        assert!(!seen[0].contains("\"stream\":true"), "{name}: {seen:?}");
    }
}

/// A prompt that takes another route is written again, in the format of that provider.
#[tokio::test(start_paused = true)]
async fn a_prompt_is_written_again_on_another_route() {
    let (first, _seen) = manager(Provider::anthropic(), "application/json", &["{}"]);
    let simulator = stack::provider().build();
    let second = outbound::Endpoint::new(Provider::gemini())
        .base_url("http://other.test/v1beta")
        .key(KEY)
        .client(stack::client(&simulator));
    let manager = first.endpoint("google", second).fallback(Route::to("google").with_model("g")).build();
    let outcome = manager.expect("a manager").send(Request::prompt("m", "Two rivers?")).await;
    assert!(outcome.route == 1 && outcome.result.is_ok(), "{outcome:?}");
    assert_eq!(simulator.ledger().entries()[0].seen.path, "/v1beta/models/g:generateContent");
}

/// A combination that does not work is an error before anything is sent.
#[tokio::test(start_paused = true)]
async fn a_prompt_without_a_format_is_an_error() {
    let body = json!({"contents": []});
    for (provider, request, says) in [
        (Provider::http(), Request::prompt("m", "x"), "no format for a prompt"),
        (Provider::gemini(), Request::chat(&body), "Request::model"),
        (
            Provider::openai_compatible(),
            Request::chat(&body).max_tokens(5),
            "max_tokens is for Request::prompt",
        ),
        (Provider::openai_compatible(), Request::get("/x").system("y"), "system is for Request::prompt"),
    ] {
        let (manager, seen) = manager(provider, "application/json", &["{}"]);
        let outcome = manager.build().expect("a manager").send(request).await;
        let error = outcome.result.expect_err("it is invalid");
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains(says), "{error}");
        assert!(seen.lock().expect("no panic").is_empty());
    }
    let (manager, seen) = manager(Provider::gemini(), "application/json", &["{}"]);
    let _ = manager.build().expect("a manager").send(Request::chat(&body).model("models/m")).await;
    assert!(seen.lock().expect("no panic")[0].starts_with("POST /v1/models/m:generateContent "));
}

/// Events before the first item do not begin the answer. They are delivered with the first item, and those of a failed
/// attempt are never delivered.
#[tokio::test(start_paused = true)]
async fn a_role_is_not_a_first_item() {
    const ROLE: &str =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
    const TEXT: &str =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Rhine\"}}]}\n\ndata: [DONE]\n\n";
    let replies: Vec<&[&str]> = vec![&[ROLE], &[ROLE, TEXT]];
    let (manager, _seen) = manager_of(Provider::openai_compatible(), "text/event-stream", replies);
    let mut reply = manager.max_attempts(2).build().expect("a manager").stream(Request::prompt("m", "x"));
    let mut data = Vec::new();
    while let Some(item) = reply.next().await {
        data.push(item.expect("the second attempt").data);
    }
    assert!(data.len() == 2 && data[0].contains("assistant") && data[1].contains("Rhine"), "{data:?}");
    assert_eq!(reply.outcome().await.sends, 2);
}

/// A whole stream may arrive at once. The caller gets the first item before the others are read.
#[tokio::test(start_paused = true)]
async fn the_first_item_waits_for_no_other() {
    const ALL: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Rhine\"}}]}\n\n\
        data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\", Elbe\"}}]}\n\n\
        data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let (manager, _seen) = manager(Provider::openai_compatible(), "text/event-stream", &[ALL]);
    let manager = manager.build().expect("a manager");
    let reader = tokio::spawn(async move {
        let mut reply = manager.stream(Request::prompt("m", "x"));
        assert!(reply.next().await.is_some_and(|item| item.is_ok_and(|item| item.text() == "Rhine")));
        assert!(reply.next().now_or_never().is_none(), "the others were read first");
        while let Some(item) = reply.next().await {
            assert!(item.is_ok());
        }
    });
    reader.await.expect("no panic");
}
