//! Streams that are delivered item by item.

use futures::StreamExt;
use outbound::ErrorKind;
use outbound_simulator::{Fault, Refusal, Simulator};
use tokio::time::Instant;

use crate::stack::{chat, manager, ms, provider, s, stream};

/// How many requests the simulator is still working on.
fn under_way(simulator: &Simulator) -> usize {
    simulator.ledger().entries().iter().filter(|entry| entry.ended.is_none()).count()
}

/// The text that came, and how the stream ended.
async fn read(mut reply: outbound::ReplyStream) -> (String, Option<ErrorKind>, outbound::Outcome) {
    let (mut text, mut error) = (String::new(), None);
    while let Some(item) = reply.next().await {
        match item {
            Ok(item) => text.push_str(item.text()),
            Err(failed) => error = Some(failed.kind()),
        }
    }
    assert!(reply.next().await.is_none(), "an end stays an end");
    (text, error, reply.outcome().await)
}

#[tokio::test(start_paused = true)]
async fn items_come_one_by_one_and_make_the_whole() {
    let simulator = provider().tokens_per_second(50.0).build();
    let manager = manager(&simulator).build().expect("a manager");
    let mut reply = manager.stream(stream(1));
    let (mut texts, mut times) = (Vec::new(), Vec::new());
    while let Some(item) = reply.next().await {
        let item = item.expect("an item");
        assert!(!item.data.is_empty());
        texts.push(item.text().to_owned());
        times.push(Instant::now());
    }
    assert!(texts.iter().filter(|text| !text.is_empty()).count() > 2, "{texts:?}");
    assert!(times.last() > times.first(), "they are not kept until the end");
    let outcome = reply.outcome().await;
    let whole = outcome.result.expect("an answer").content();
    assert_eq!(whole, Some(texts.concat()));
    assert!(outcome.elapsed >= ms(200) && outcome.sends == 1);
}

/// Before the first item failures are retried as with `send`, and nothing of failed attempts is delivered.
#[tokio::test(start_paused = true)]
async fn until_the_first_item_an_attempt_may_fail() {
    for fault in [
        Fault::Refuse(Refusal::status(500)),
        Fault::Stall { after: 0 },
        Fault::Truncate { after: 0 },
        Fault::ResetBeforeHeaders,
    ] {
        let simulator = provider().fault_on_attempt(fault.clone(), 1).build();
        let manager = manager(&simulator).first_item_timeout(s(5)).build().expect("a manager");
        let (text, error, outcome) = read(manager.stream(stream(1))).await;
        assert_eq!(error, None, "{fault:?}");
        assert_eq!(outcome.sends, 2, "{fault:?}");
        assert_eq!(outcome.result.expect("an answer").content(), Some(text), "{fault:?}");
    }
}

/// After the first item the answer cannot start again. The error has the text that came.
#[tokio::test(start_paused = true)]
async fn after_the_first_item_a_break_is_an_error_with_what_came() {
    for (fault, kind) in [
        (Fault::Truncate { after: 3 }, ErrorKind::StreamBroken),
        (Fault::Stall { after: 3 }, ErrorKind::Timeout),
        (Fault::ErrorEvent { after: 3 }, ErrorKind::Overloaded),
    ] {
        let simulator = provider().fault_on_attempt(fault.clone(), 1).build();
        let manager = manager(&simulator).build().expect("a manager");
        let (text, error, outcome) = read(manager.stream(stream(1))).await;
        assert_eq!((error, outcome.sends), (Some(kind), 1), "{fault:?}");
        assert!(!text.is_empty());
        let error = outcome.result.expect_err("it broke");
        assert_eq!((error.kind(), error.partial()), (kind, Some(&*text)), "{fault:?}");
        assert_eq!(under_way(&simulator), 0, "{fault:?}: nothing is left under way");
    }
}

/// The stream is not read for ten minutes, longer than every timeout. Nothing is lost, and no permit is held.
#[tokio::test(start_paused = true)]
async fn a_slow_reader_loses_nothing_and_holds_nothing() {
    let simulator = provider().build();
    let manager = manager(&simulator).max_concurrent(1).build().expect("a manager");
    let reply = manager.stream(stream(1));
    tokio::time::sleep(s(5)).await;
    assert!(manager.send(chat(2)).await.result.is_ok(), "the only permit is free");
    tokio::time::sleep(s(600)).await;
    let (text, error, outcome) = read(reply).await;
    assert_eq!(error, None);
    assert_eq!(outcome.result.expect("an answer").content(), Some(text));
    assert!(outcome.elapsed < s(60), "{:?}", outcome.elapsed);
}

/// The permit is held to the end of the stream. Dropping the stream returns it at once.
#[tokio::test(start_paused = true)]
async fn dropping_it_frees_everything() {
    let simulator = provider().fault(Fault::Stall { after: 3 }, 1.0).build();
    let manager = manager(&simulator).max_concurrent(1).build().expect("a manager");
    let mut reply = manager.stream(stream(1));
    assert!(reply.next().await.is_some_and(|item| item.is_ok()));
    let waiting = tokio::time::timeout(s(5), manager.send(chat(3))).await;
    assert!(waiting.is_err() && simulator.ledger().sends() == 1, "the permit is held");
    drop(reply);
    tokio::time::sleep(ms(10)).await;
    assert_eq!(under_way(&simulator), 0, "its connection is closed");
    let began = Instant::now();
    let next = manager.stream(stream(2)).next().await;
    assert!(next.is_some_and(|item| item.is_ok()) && began.elapsed() < s(2));
}

/// An answer that comes in one piece is one item.
#[tokio::test(start_paused = true)]
async fn an_answer_in_one_piece_is_one_item() {
    let simulator = provider().build();
    let manager = manager(&simulator).build().expect("a manager");
    let mut reply = manager.stream(chat(1));
    let item = reply.next().await.expect("an item").expect("no error");
    assert!(item.data.starts_with('{') && !item.text().is_empty());
    assert!(reply.next().await.is_none());
    assert_eq!(reply.outcome().await.result.expect("an answer").content(), Some(item.delta.text));
}

#[tokio::test(start_paused = true)]
async fn it_is_a_stream_and_the_outcome_needs_no_items() {
    let simulator = provider().build();
    let manager = manager(&simulator).build().expect("a manager");
    let items = manager.stream(stream(1)).collect::<Vec<_>>().await;
    assert!(items.len() > 2 && items.iter().all(Result::is_ok));
    let outcome = manager.stream(stream(2)).outcome().await;
    assert_eq!(outcome.id.as_deref(), Some("r2"));
    assert!(outcome.result.is_ok());
}

/// A request that is refused before it is sent ends the stream with that error.
#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_sent_is_an_error_of_the_stream() {
    let simulator = provider().build();
    let manager = manager(&simulator).build().expect("a manager");
    let (text, error, _) = read(manager.stream(stream(1).to("nowhere"))).await;
    assert_eq!((text.as_str(), error), ("", Some(ErrorKind::Invalid)));
    manager.shutdown(ms(0)).await;
    let (_, error, _) = read(manager.stream(stream(1))).await;
    assert_eq!(error, Some(ErrorKind::ShutDown));
}
