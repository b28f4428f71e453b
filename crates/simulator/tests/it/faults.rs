//! Every fault, as a client sees it, and what is billed for it.

use http::{HeaderName, HeaderValue};
use outbound_simulator::{Builder, Fault, Latency, Ledger, Outcome, Refusal, Simulator};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{Client, Got, chat, ms, secs, streamed};

fn five_tokens() -> Builder {
    Simulator::builder().output_tokens(5..=5)
}

/// One request of two input tokens against a simulator with this fault.
async fn strike(fault: impl Into<Fault>, stream: bool) -> (Option<Got>, Ledger) {
    let simulator = five_tokens().fault(fault, 1.0).build();
    let mut client = Client::to(&simulator).await;
    let body = if stream { streamed(chat("hello")) } else { chat("hello") };
    let got = client.send(http::Method::POST, crate::support::CHAT, body.to_string()).await;
    (got.ok(), simulator.ledger())
}

async fn refused(refusal: Refusal) -> Got {
    let (got, ledger) = strike(refusal, false).await;
    let got = got.unwrap();
    assert_eq!(ledger.entries()[0].outcome, Outcome::Refused(got.status));
    assert_eq!(ledger.tokens(), (0, 0));
    assert!(ledger.entries()[0].was_admitted());
    got
}

async fn anthropic(refusal: Refusal) -> Got {
    let simulator = Simulator::builder().fault(refusal, 1.0).build();
    let mut body = chat("hello");
    body["max_tokens"] = json!(5);
    Client::to(&simulator).await.messages(&body).await
}

#[tokio::test(start_paused = true)]
async fn every_status_has_a_body_in_both_dialects() {
    let cases = [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (408, "invalid_request_error"),
        (409, "conflict_error"),
        (413, "request_too_large"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (498, "invalid_request_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ];
    for (status, kind) in cases {
        let got = refused(Refusal::status(status)).await;
        assert_eq!(got.status, status);
        let error = &got.json()["error"];
        assert!(
            error["message"].is_string() && error["type"].is_string() && error.get("code").is_some(),
            "{error}"
        );
        assert_eq!(got.header("retry-after"), None);
        let got = anthropic(Refusal::status(status)).await;
        assert_eq!((got.status.as_u16(), got.json()["error"]["type"].as_str()), (status, Some(kind)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_none_counts_as_500_and_one_without_a_body_has_none() {
    for status in [0, 99, 100, 101, 1_000, u16::MAX] {
        assert_eq!(refused(Refusal::status(status)).await.status, 500);
    }
    for status in [204, 304] {
        assert_eq!(refused(Refusal::status(status)).await.body(), b"");
    }
}

#[tokio::test(start_paused = true)]
async fn each_form_of_a_wait_is_sent_alone() {
    let wait = ms(1_500);
    let forms = |got: &Got| {
        let hint = got.json()["error"]["message"].as_str().unwrap().contains("try again in 1.5s");
        (got.header("retry-after").map(str::to_owned), got.header("retry-after-ms").map(str::to_owned), hint)
    };
    let limited = Refusal::rate_limited;
    assert_eq!(forms(&refused(limited()).await), (None, None, false));
    assert_eq!(forms(&refused(limited().retry_after(wait)).await), (Some("2".into()), None, false));
    assert_eq!(forms(&refused(limited().retry_after_ms(wait)).await), (None, Some("1500".into()), false));
    assert_eq!(forms(&refused(limited().hint(wait)).await), (None, None, true));
    let date = "Thu, 01 Jan 2026 00:00:02 GMT".to_owned();
    assert_eq!(forms(&refused(limited().retry_after_date(wait)).await), (Some(date), None, false));
    let absurd = refused(limited().retry_after(secs(172_800))).await;
    assert_eq!(absurd.header("retry-after"), Some("172800"));
    let odd = limited().header(HeaderName::from_static("retry-after"), HeaderValue::from_static("soon"));
    assert_eq!(refused(odd).await.header("retry-after"), Some("soon"));
}

#[tokio::test(start_paused = true)]
async fn a_429_says_which_one_it_is() {
    let code = |got: Got| got.json()["error"]["code"].clone();
    assert_eq!(code(refused(Refusal::rate_limited()).await), "rate_limit_exceeded");
    assert_eq!(code(refused(Refusal::slow_down()).await), "slow_down");
    assert_eq!(code(refused(Refusal::quota_spent()).await), "insufficient_quota");
    let details = |got: Got| got.json()["error"]["details"]["error_code"].clone();
    assert_eq!(details(anthropic(Refusal::rate_limited()).await), Value::Null);
    assert_eq!(details(anthropic(Refusal::quota_spent()).await), "enforced_spend_limit_reached");
}

#[tokio::test(start_paused = true)]
async fn a_proxys_page_is_not_json() {
    let got = refused(Refusal::html(502).retry_after(secs(1))).await;
    assert_eq!((got.status.as_u16(), got.header("content-type")), (502, Some("text/html")));
    assert!(got.text().starts_with("<html>") && got.header("retry-after").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_reset_before_headers_is_no_reply_and_a_bill() {
    for stream in [false, true] {
        let (got, ledger) = strike(Fault::ResetBeforeHeaders, stream).await;
        assert!(got.is_none());
        assert_eq!(ledger.entries()[0].outcome, Outcome::Broken);
        assert_eq!(ledger.tokens(), (2, 5));
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_after_headers_cuts_the_body() {
    for (stream, after, billed) in [(false, 0, 5), (false, 1, 5), (true, 0, 0), (true, 3, 3), (true, 99, 5)] {
        let (got, ledger) = strike(Fault::ResetAfterHeaders { after }, stream).await;
        let got = got.unwrap();
        assert_eq!((got.status.as_u16(), got.is_whole), (200, false));
        assert_eq!(got.body().is_empty(), after == 0, "{got:?}");
        assert!(!got.text().contains("[DONE]"));
        assert_eq!(ledger.entries()[0].outcome, Outcome::Broken);
        assert_eq!(ledger.tokens(), (2, billed));
    }
}

#[tokio::test(start_paused = true)]
async fn silence_lasts_until_the_client_leaves() {
    let simulator = five_tokens().fault(Fault::Silence, 1.0).build();
    let mut client = Client::to(&simulator).await;
    assert!(timeout(secs(86_400), client.chat(&chat("hello"))).await.is_err());
    assert_eq!(simulator.ledger().entries()[0].outcome, Outcome::Pending);
    drop(client);
    tokio::time::sleep(ms(1)).await;
    assert_eq!(simulator.ledger().entries()[0].outcome, Outcome::Broken);
    assert_eq!(simulator.ledger().tokens(), (2, 5));
}

#[tokio::test(start_paused = true)]
async fn a_stall_leaves_the_connection_open_with_nothing_more_on_it() {
    for (stream, after, frames, billed) in
        [(false, 0, 0, 5), (false, 1, 1, 5), (true, 0, 0, 0), (true, 3, 3, 3)]
    {
        let simulator = five_tokens().tokens_per_second(10.0).fault(Fault::Stall { after }, 1.0).build();
        let mut client = Client::to(&simulator).await;
        let body = if stream { streamed(chat("hello")) } else { chat("hello") };
        let head = client.head(http::Method::POST, crate::support::CHAT, body.to_string()).await.unwrap();
        let mut body = head.into_body();
        let mut seen = 0;
        while let Ok(frame) = timeout(
            secs(3_600),
            std::future::poll_fn(|cx| http_body::Body::poll_frame(std::pin::Pin::new(&mut body), cx)),
        )
        .await
        {
            frame.unwrap().unwrap();
            seen += 1;
        }
        assert_eq!(seen, frames);
        assert!(!client.is_closed().await);
        drop((body, client));
        tokio::time::sleep(ms(1)).await;
        assert_eq!(simulator.ledger().entries()[0].outcome, Outcome::Broken);
        assert_eq!(simulator.ledger().tokens(), (2, billed));
    }
}

#[tokio::test(start_paused = true)]
async fn a_truncated_stream_ends_in_good_order_without_its_end() {
    for after in [0, 2, 99] {
        let (got, ledger) = strike(Fault::Truncate { after }, true).await;
        let got = got.unwrap();
        assert!(got.is_whole);
        assert!(!got.text().contains("[DONE]") && !got.text().contains("\"stop\""));
        assert_eq!(got.events().is_empty(), after == 0);
        assert_eq!(ledger.entries()[0].outcome, Outcome::Broken);
        assert_eq!(ledger.tokens(), (2, u64::from(after.min(5))));
    }
    let (got, _) = strike(Fault::Truncate { after: 1 }, false).await;
    let got = got.unwrap();
    assert!(got.is_whole && !got.body().is_empty());
    assert!(serde_json::from_slice::<Value>(&got.body()).is_err());
}

#[tokio::test(start_paused = true)]
async fn an_error_event_comes_inside_a_200() {
    let (got, ledger) = strike(Fault::ErrorEvent { after: 2 }, true).await;
    let got = got.unwrap();
    assert_eq!((got.status.as_u16(), got.is_whole), (200, true));
    let events = got.events();
    let error: Value = serde_json::from_str(&events.last().unwrap().1).unwrap();
    assert_eq!(error["error"]["code"], "server_is_overloaded");
    assert_eq!((ledger.tokens(), ledger.entries()[0].outcome), ((2, 2), Outcome::Broken));

    let (got, ledger) = strike(Fault::ErrorEvent { after: 0 }, false).await;
    let got = got.unwrap();
    assert_eq!((got.status.as_u16(), got.json()["error"]["type"].as_str()), (200, Some("server_error")));
    assert_eq!(ledger.tokens(), (0, 0));

    let simulator = five_tokens().fault(Fault::ErrorEvent { after: 0 }, 1.0).build();
    let mut body = streamed(chat("hello"));
    body["max_tokens"] = json!(5);
    let events = Client::to(&simulator).await.messages(&body).await.events();
    assert_eq!((events.len(), events[0].0.as_deref()), (1, Some("error")));
    assert!(events[0].1.contains("overloaded_error"));
}

#[tokio::test(start_paused = true)]
async fn comments_keep_a_stream_alive_and_then_the_answer_comes() {
    let simulator = five_tokens()
        .time_to_first_token(Latency::fixed(secs(1)))
        .fault(Fault::KeepAlive { every: secs(10), count: Some(3) }, 1.0)
        .build();
    let mut client = Client::to(&simulator).await;
    let got = client.chat(&streamed(chat("hello"))).await;
    let times: Vec<_> = got.frames.iter().map(|(at, _)| at.as_secs()).take(4).collect();
    assert_eq!(times, [10, 20, 30, 31]);
    assert_eq!(got.text().matches(": PROCESSING\n\n").count(), 3);
    assert_eq!(got.events().last().unwrap().1, "[DONE]");
    assert_eq!(simulator.ledger().entries()[0].outcome, Outcome::Answered);

    let got = client.chat(&chat("hello")).await;
    assert!(got.text().starts_with("\n\n\n{"));
    assert_eq!(got.json()["object"], "chat.completion");
}

#[tokio::test(start_paused = true)]
async fn comments_can_go_on_for_ever() {
    for stream in [false, true] {
        let simulator = five_tokens().fault(Fault::KeepAlive { every: ms(0), count: None }, 1.0).build();
        let mut client = Client::to(&simulator).await;
        let body = if stream { streamed(chat("hello")) } else { chat("hello") };
        assert!(timeout(secs(1), client.chat(&body)).await.is_err());
        drop(client);
        tokio::time::sleep(ms(10)).await;
        assert_eq!(simulator.ledger().entries()[0].outcome, Outcome::Broken);
    }
}

#[tokio::test(start_paused = true)]
async fn bad_json_comes_with_status_200() {
    let (got, ledger) = strike(Fault::BadJson, false).await;
    let got = got.unwrap();
    assert_eq!(got.status, 200);
    assert!(serde_json::from_slice::<Value>(&got.body()).is_err());
    assert_eq!(ledger.entries()[0].outcome, Outcome::Broken);

    let (got, _) = strike(Fault::BadJson, true).await;
    let events = got.unwrap().events();
    let bad =
        events.iter().filter(|(_, data)| data != "[DONE]" && serde_json::from_str::<Value>(data).is_err());
    assert_eq!((bad.count(), events.last().unwrap().1.as_str()), (1, "[DONE]"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_is_noticed_and_pays() {
    let simulator = five_tokens().tokens_per_second(1.0).build();
    for (stream, billed) in [(false, 5), (true, 3)] {
        let mut client = Client::to(&simulator).await;
        let body = if stream { streamed(chat("hello")) } else { chat("hello") };
        assert!(timeout(ms(2_500), client.chat(&body)).await.is_err());
        drop(client);
        tokio::time::sleep(ms(1)).await;
        let ledger = simulator.ledger();
        let entry = ledger.entries().last().unwrap();
        assert_eq!((entry.outcome, entry.output_tokens), (Outcome::Abandoned, billed));
        assert_eq!(entry.ended.unwrap() - entry.seen.at, ms(2_500));
    }
}
