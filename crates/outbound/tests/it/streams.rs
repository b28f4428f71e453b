//! Streams that stall, stop, claim to be complete, or hide an error.

use outbound::ErrorKind;
use outbound_simulator::Fault;
use tokio::time::Instant;

use crate::stack::{chat, manager, ms, provider, s, stream};

#[tokio::test(start_paused = true)]
async fn a_whole_stream_folds_into_the_body_of_a_plain_reply() {
    let simulator = provider().build();
    let manager = manager(&simulator).build().expect("a manager");
    let streamed = manager.send(stream(1)).await.result.expect("an answer").json().expect("JSON");
    assert_eq!(streamed["object"], "chat.completion");
    assert!(streamed["choices"][0]["message"]["content"].as_str().is_some_and(|text| !text.is_empty()));
}

/// stall-mid-stream: an SSE stream sends some chunks, then nothing; callers hang for hours.
#[tokio::test(start_paused = true)]
async fn stall_mid_stream() {
    let simulator = provider().fault(Fault::Stall { after: 3 }, 1.0).build();
    let manager = manager(&simulator).max_attempts(2).build().expect("a manager");
    let started = Instant::now();
    let outcome = manager.send(stream(1)).await;
    let error = outcome.result.expect_err("it stalled");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("idle") && error.to_string().contains("60s"), "{error}");
    assert!(error.partial().is_some_and(|text| !text.is_empty()), "what arrived is kept");
    assert!(started.elapsed() < s(130), "two attempts of a minute, not hours");
    assert_eq!(outcome.sends, 2);
}

/// stall-before-first: no byte after the headers, or headers that never come.
#[tokio::test(start_paused = true)]
async fn stall_before_first() {
    for fault in [Fault::Stall { after: 0 }, Fault::Silence] {
        let simulator = provider().fault_on_attempt(fault, 1).build();
        let manager = manager(&simulator).first_item_timeout(s(5)).build().expect("a manager");
        let started = Instant::now();
        let outcome = manager.send(stream(1)).await;
        assert!(outcome.result.is_ok(), "nothing was delivered, so it is retried: {outcome:?}");
        assert_eq!(outcome.sends, 2);
        assert!(started.elapsed() < s(8), "its own limit, not the idle one: {:?}", started.elapsed());
    }
}

/// silent-truncation: a stream ends without its end marker, and counts as a full answer.
#[tokio::test(start_paused = true)]
async fn silent_truncation() {
    let simulator = provider().fault(Fault::Truncate { after: 3 }, 1.0).build();
    let manager = manager(&simulator).max_attempts(1).build().expect("a manager");
    let error = manager.send(stream(1)).await.result.expect_err("it was cut");
    assert_eq!(error.kind(), ErrorKind::StreamBroken);
    assert!(error.partial().is_some_and(|text| !text.is_empty()));
}

/// error-inside-200: an overload comes as an error event inside a stream that began well.
#[tokio::test(start_paused = true)]
async fn error_inside_200() {
    let simulator = provider().fault_on_attempt(Fault::ErrorEvent { after: 2 }, 1).build();
    let manager = manager(&simulator).build().expect("a manager");
    for (request, id) in [(stream(1), "a stream"), (chat(2), "a plain reply")] {
        let outcome = manager.send(request).await;
        assert!(outcome.result.is_ok(), "{id}: {outcome:?}");
        assert_eq!((outcome.sends, outcome.charged), (2, 1), "{id}: the action of an overload");
    }
}

/// comment-keepalive: comments keep a dead generation alive, or a slow one is ended because they do not count.
#[tokio::test(start_paused = true)]
async fn comment_keepalive() {
    let slow = Fault::KeepAlive { every: s(4), count: Some(4) };
    let simulator = provider().fault(slow, 1.0).build();
    let patient = manager(&simulator).idle_timeout(s(5)).build().expect("a manager");
    assert!(patient.send(stream(1)).await.result.is_ok(), "comments reset the idle limit");

    let dead = Fault::KeepAlive { every: s(4), count: None };
    let simulator = provider().fault(dead, 1.0).build();
    let manager = manager(&simulator).idle_timeout(s(5)).first_item_timeout(s(20)).max_attempts(1);
    let started = Instant::now();
    let error = manager.build().expect("a manager").send(stream(1)).await.result.expect_err("dead");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(started.elapsed() < s(21) && started.elapsed() > ms(19_900), "but not that of the first item");
}
