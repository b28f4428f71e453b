//! Chats, 16 at a time, from a provider that answers each: the manager beside loops as one writes them by hand.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use async_openai::config::OpenAIConfig;
use bytes::Bytes;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::{HeaderValue, Method, Request, header};
use http_body_util::{BodyExt, Full};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use reqwest_retry::{RetryTransientMiddleware, policies::ExponentialBackoff};
use serde_json::{Value, json};

use crate::{
    case::Group,
    client::hyper_util,
    http::{AT_ONCE, at_once, case, server::address},
};

const PATH: &str = "/v1/chat/completions";
const KEY: &str = "sk-of-nobody";

pub(crate) fn groups() -> Vec<Group> {
    vec![Group {
        name: "manager/chat",
        about: "A chat of 1 KiB and its answer of 1 KiB, 16 at a time; for one, time on the processor. Each answer is \
                parsed and its text looked at, by the floor too. The manager has its limits, retries, time-outs and \
                accounts of tokens on. The loop has limits of reqwest-retry, governor and a semaphore, async-openai \
                its own retries.",
        rounds: 512,
        is_counted: false,
        cases: vec![
            case(
                "outbound",
                async || (manager(), body()),
                |(manager, body), rounds| async move {
                    let request = |_| outbound::Request::post_raw("/chat/completions", body.clone());
                    let mut batch = manager.batch((0..rounds).map(request));
                    let mut count = 0;
                    while let Some(outcome) = batch.next().await {
                        count += u64::from(outcome.result.expect("an answer").content().is_some());
                    }
                    assert_eq!(count, rounds);
                },
            )
            .ours(),
            case(
                "reqwest, reqwest-retry, governor",
                async || usual_loop(),
                |client, rounds| at_once(rounds, move |_, share| in_usual_loop(Arc::clone(&client), share)),
            ),
            case(
                "async-openai",
                async || (async_openai(), question()),
                |(client, question), rounds| {
                    at_once(rounds, move |_, share| by_async_openai(client.clone(), question.clone(), share))
                },
            ),
            case(
                "hyper-util, no limits",
                async || (hyper_util(), body()),
                |(client, body), rounds| {
                    at_once(rounds, move |_, share| {
                        let (client, body) = (client.clone(), body.clone());
                        async move {
                            for _ in 0..share {
                                let reply = client.request(request(body.clone())).await.expect("a reply");
                                assert!(reply.status().is_success());
                                let body =
                                    reply.into_body().collect().await.expect("a whole body").to_bytes();
                                assert_text(&body);
                            }
                        }
                    })
                },
            )
            .floor(),
        ],
    }]
}

fn manager() -> outbound::RequestManager {
    let manager = outbound::RequestManager::builder()
        .provider(outbound::Provider::openai())
        .base_url(format!("http://{}/v1", address()))
        .key(KEY)
        .max_concurrent(AT_ONCE as usize)
        .requests_per_minute(1 << 40);
    manager.change_client(outbound::ClientBuilder::no_proxy).build().expect("a manager")
}

struct Usual {
    client: ClientWithMiddleware,
    requests: DefaultDirectRateLimiter,
    permits: tokio::sync::Semaphore,
    url: String,
    body: Bytes,
}

fn usual_loop() -> Arc<Usual> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(120)).build();
    let retries = ExponentialBackoff::builder().build_with_max_retries(5);
    let client = ClientBuilder::new(client.expect("a client"))
        .with(RetryTransientMiddleware::new_with_policy(retries))
        .build();
    let quota = Quota::per_second(NonZeroU32::new(1_000_000_000).expect("not 0"));
    Arc::new(Usual {
        client,
        requests: RateLimiter::direct(quota),
        permits: tokio::sync::Semaphore::new(AT_ONCE as usize),
        url: format!("http://{}{PATH}", address()),
        body: body(),
    })
}

async fn in_usual_loop(usual: Arc<Usual>, share: u64) {
    for _ in 0..share {
        let permit = usual.permits.acquire().await.expect("it is open");
        usual.requests.until_ready().await;
        let request = usual.client.post(&usual.url).bearer_auth(KEY);
        let request = request.header(header::CONTENT_TYPE, JSON).body(usual.body.clone());
        let reply = request.send().await.expect("a reply");
        assert!(reply.status().is_success());
        assert_text(&reply.bytes().await.expect("a whole body"));
        drop(permit);
    }
}

fn async_openai() -> async_openai::Client<OpenAIConfig> {
    let config = OpenAIConfig::new().with_api_base(format!("http://{}/v1", address())).with_api_key(KEY);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    async_openai::Client::build(client, config)
}

async fn by_async_openai(client: async_openai::Client<OpenAIConfig>, question: Value, share: u64) {
    for _ in 0..share {
        let answer: Value = client.chat().create_byot(&question).await.expect("an answer");
        assert!(text(&answer).is_some());
    }
}

fn request(body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = format!("http://{}{PATH}", address()).parse().expect("a URI");
    let headers = request.headers_mut();
    headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer sk-of-nobody"));
    headers.insert(header::CONTENT_TYPE, JSON);
    request
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

fn assert_text(body: &[u8]) {
    let answer: Value = serde_json::from_slice(body).expect("JSON");
    assert!(text(&answer).is_some());
}

fn text(answer: &Value) -> Option<&str> {
    answer.pointer("/choices/0/message/content")?.as_str()
}

fn body() -> Bytes {
    question().to_string().into()
}

/// Of about 1 KiB.
fn question() -> Value {
    let content = "word ".repeat(190);
    json!({"model": "small", "temperature": 0, "messages": [{"role": "user", "content": content}]})
}
