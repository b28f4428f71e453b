//! Replies that the simulator does not send, byte by byte.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use outbound::{Client, Origin, Provider, Request, RequestManager, RequestManagerBuilder};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::Instant,
};

use crate::stack::{KEY, chat, ms, s, stream};

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 68\r\n\r\n\
                      {\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"whole one\"}}]}";

/// A reply. `true`: the connection ends with it. `false`: it stays open and silent.
type Scripted = (&'static str, bool);

fn manager(replies: impl Into<VecDeque<Scripted>>) -> RequestManagerBuilder {
    let replies = Arc::new(Mutex::new(replies.into()));
    let client = Client::builder().connector(move |_: &Origin| {
        let (near, far) = duplex(1 << 16);
        let next = replies.lock().map(|mut replies| replies.pop_front()).ok().flatten();
        tokio::spawn(answer(far, next));
        async move { Ok(near) }
    });
    RequestManager::builder()
        .provider(Provider::openai_compatible())
        .base_url("http://scripted.test/v1")
        .key(KEY)
        .client(client)
        .seed(7)
}

async fn answer(mut pipe: DuplexStream, next: Option<Scripted>) -> std::io::Result<()> {
    let _request = pipe.read(&mut [0; 1 << 16]).await?;
    let Some((reply, close)) = next else { return Ok(()) };
    pipe.write_all(reply.as_bytes()).await?;
    if !close {
        let _end = pipe.read(&mut [0; 1]).await?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_half_an_answer_proves_nothing() {
    let half = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
                data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Half\"}}]}\n\n\
                data: {\"error\":{\"type\":\"rate_limit_error\",\"message\":\"Please try again in 2s\"}}\n\n";
    let manager = manager([(half, true), (ANSWER, true)]).build().expect("a manager");
    let outcome = manager.send(stream(1)).await;
    assert!(outcome.result.is_ok() && outcome.possible_duplicate, "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_whole_answer_does_not_break_it() {
    let whole = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n79\r\n\
                 data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"All of it\"},\
                 \"finish_reason\":\"stop\"}]}\n\n\r\n";
    for close in [true, false] {
        let manager = manager([(whole, close)]).max_attempts(1).build().expect("a manager");
        let started = Instant::now();
        let reply = manager.send(stream(1)).await.result.expect("whole, though the body is not");
        assert_eq!(reply.content().as_deref(), Some("All of it"));
        // Only a count of tokens could still come, and that is not waited for long.
        assert!(started.elapsed() <= ms(1_100), "nor is it waited for");
    }
}

#[tokio::test(start_paused = true)]
async fn the_providers_own_word_on_retrying_is_taken() {
    let no = "HTTP/1.1 529 x\r\nx-should-retry: false\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let manager = manager([(no, true), (ANSWER, true)]).build().expect("a manager");
    let outcome = manager.send(chat(1)).await;
    assert!(outcome.result.is_err() && outcome.sends == 1, "{outcome:?}");
}

/// key-in-logs: a provider repeats the key in its refusal.
#[tokio::test(start_paused = true)]
async fn an_echoed_key_is_not_shown() {
    let echo = "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\nset-cookie: session=canary-cookie\r\n\
                connection: close\r\ncontent-length: 72\r\n\r\n\
                {\"error\":{\"message\":\"Incorrect API key provided: sk-canary-0123456789\"}}";
    let manager = manager([(echo, true)]).build().expect("a manager");
    let outcome = manager.send(chat(1)).await;
    let error = outcome.result.as_ref().expect_err("refused");
    let shown = format!("{outcome:?} {error} {error:?} {manager:?}");
    assert!(!shown.contains("canary"), "{shown}");
    let request = Request::post("http://user:hunter2@h.test/models:generate?key=hunter3", &json!({}));
    assert!(!format!("{request:?}").contains("hunter"), "{request:?}");
}

/// A key is recognised by its value, not by its form.
#[tokio::test(start_paused = true)]
async fn an_echoed_key_of_any_form_is_not_shown() {
    let echo = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 60\r\n\r\n\
                {\"error\":{\"message\":\"what is Canary_of_no_form_0123456789\"}}";
    let manager = manager([(echo, true)]).key("Canary_of_no_form_0123456789").build().expect("a manager");
    let outcome = manager.send(chat(1)).await;
    let error = outcome.result.as_ref().expect_err("refused");
    let shown = format!("{outcome:?} {error} {error:?} {manager:?}");
    assert!(shown.contains("what is") && !shown.contains("Canary"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn the_first_item_limit_runs_from_the_request_on() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let manager = manager([(head, false)]).first_item_timeout(s(20)).idle_timeout(s(1_000)).max_attempts(1);
    let started = Instant::now();
    let error = manager.build().expect("a manager").send(stream(1)).await.result.expect_err("nothing came");
    assert!(error.to_string().contains("20s (first item limit)"), "{error}");
    assert_eq!(started.elapsed(), s(20));
}

/// silent-truncation of a plain stream: it has no end marker, so it ends with its body, and a cut body is an error.
#[tokio::test(start_paused = true)]
async fn a_plain_stream_is_read_to_the_end_of_its_body() {
    const HEAD: &str =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    for whole in [true, false] {
        let client = Client::builder().connector(move |_: &Origin| {
            let (near, mut far) = duplex(1 << 16);
            tokio::spawn(async move {
                let _request = far.read(&mut [0; 1 << 16]).await?;
                far.write_all(HEAD.as_bytes()).await?;
                for chunk in ["b\r\ndata: one\n\n\r\n", "b\r\ndata: two\n\n\r\n"] {
                    far.write_all(chunk.as_bytes()).await?;
                    tokio::time::sleep(s(5)).await;
                }
                if whole {
                    far.write_all(b"0\r\n\r\n").await?;
                }
                std::io::Result::Ok(())
            });
            async move { Ok(near) }
        });
        let manager = RequestManager::builder()
            .provider(Provider::http())
            .base_url("http://plain.test")
            .client(client)
            .max_attempts(1)
            .build()
            .expect("a manager");
        let outcome = manager.send(Request::post("/events", &json!({"stream": true}))).await;
        match outcome.result {
            Ok(reply) => {
                assert!(whole && reply.body == "data: one\n\ndata: two\n\n", "{reply:?}");
            }
            Err(error) => assert!(!whole, "{error}"),
        }
    }
}
