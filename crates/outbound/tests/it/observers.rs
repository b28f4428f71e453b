//! Those who look on: what they do wrong costs no answer.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use outbound::{ErrorKind, Event, Observer, Route, Step};
use outbound_simulator::{Fault, Refusal};
use tracing::{
    Metadata,
    span::{Attributes, Id, Record},
};

use crate::stack::{all_succeeded, chat, manager, provider, run, s, stream};

/// Panics at the nth event, and counts them.
struct Panics {
    at: usize,
    events: Arc<AtomicUsize>,
}

impl Observer for Panics {
    fn event(&self, event: &Event<'_>) {
        let number = self.events.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(number != self.at, "a mistake in an observer, at {:?}", event.step);
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_costs_no_answer_and_is_not_called_again() {
    // Queued, admitted, sent, item, ended.
    for at in 1..=5 {
        let simulator = provider().build();
        let events = Arc::new(AtomicUsize::new(0));
        let observer = Panics { at, events: Arc::clone(&events) };
        let manager = manager(&simulator).observer(observer).build().expect("a manager");
        let outcome = manager.send(stream(1)).await;
        assert!(outcome.result.is_ok(), "{at}: {outcome:?}");
        all_succeeded(&run(&manager, 10).await);
        assert_eq!((events.load(Ordering::Relaxed), simulator.ledger().sends()), (at, 11));
    }
}

/// Keeps the places of all requests it hears of.
#[derive(Clone, Default)]
struct Places(Arc<Mutex<BTreeMap<usize, String>>>);

impl Observer for Places {
    fn event(&self, event: &Event<'_>) {
        let id = event.id.expect("an id").to_owned();
        let known = self.0.lock().expect("no panic").entry(event.index).or_insert(id.clone()).clone();
        assert_eq!(known, id);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_names_the_place_of_its_request() {
    let simulator = provider().build();
    let places = Places::default();
    let manager = manager(&simulator).observer(places.clone()).build().expect("a manager");
    all_succeeded(&run(&manager, 5).await);
    let places = places.0.lock().expect("no panic").clone();
    let expected = (0..5).map(|id| (id, format!("r{id}")));
    assert_eq!(places, expected.collect());
}

/// Keeps what it hears, in words.
#[derive(Clone, Default)]
struct Words(Arc<Mutex<Vec<String>>>);

impl Observer for Words {
    fn event(&self, event: &Event<'_>) {
        let word = match event.step {
            Step::Sent { attempt } => format!("sent {attempt}"),
            Step::Failed { kind, .. } => format!("failed: {kind}"),
            Step::Waiting { reason, .. } => format!("waits for {reason}"),
            Step::Ended { failure, .. } => format!("ended, {}", failure.is_none()),
            step => format!("{step:?}").to_lowercase(),
        };
        self.0.lock().expect("no panic").push(word);
    }
}

#[tokio::test(start_paused = true)]
async fn each_step_is_told_once_and_in_its_order() {
    let simulator = provider().fault_on_attempt(Refusal::status(500), 1).build();
    let words = Words::default();
    let manager = manager(&simulator).observer(words.clone()).build().expect("a manager");
    assert!(manager.send(stream(1)).await.result.is_ok());
    let words = words.0.lock().expect("no panic").join("; ");
    let expected = "queued; admitted; sent 1; failed: server_error; waits for the time between two attempts; \
                    admitted; sent 2; item; ended, true";
    assert_eq!(words, expected);
}

/// A subscriber of logs that panics.
struct Subscriber;

impl tracing::Subscriber for Subscriber {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("outbound::")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        panic!("a mistake in a subscriber, at {:?}", event.metadata().level());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The request ends with the panic, and not with a shutdown that was none; and what it held is free again.
#[tokio::test(start_paused = true)]
async fn a_panic_in_the_task_of_a_request_is_told_as_one() {
    let simulator = provider()
        .fault_when(|seen| (seen.sequence == 0).then(|| Refusal::rate_limited().retry_after(s(901)).into()))
        .build();
    let manager = manager(&simulator).max_concurrent(1).build().expect("a manager");
    let subscribed = tracing::subscriber::set_default(Subscriber);
    // That a pause is too long is logged.
    let outcome = manager.send(chat(1)).await;
    drop(subscribed);
    assert_eq!((outcome.error_kind(), outcome.sends), (Some(ErrorKind::Panicked), 1), "{outcome:?}");
    manager.resume();
    let outcome = tokio::time::timeout(s(1), manager.send(chat(2))).await.expect("there is room");
    assert!(outcome.result.is_ok(), "{outcome:?}");
}

/// A stream that breaks after its first item takes no other route, so that is its end.
#[tokio::test(start_paused = true)]
async fn the_end_is_told_once_whatever_the_routes() {
    for (after, words) in [(3, "sent 1 item failed: stream_broken ended, false"), (0, "rerouted")] {
        let simulator = provider().fault_on_attempt(Fault::Truncate { after }, 1).build();
        let told = Words::default();
        let manager = manager(&simulator).max_attempts(1).observer(told.clone()).build().expect("a manager");
        let request = stream(1).fallback(Route::model("other"));
        let _ = manager.stream(request).outcome().await;
        let told = told.0.lock().expect("no panic").join(" ");
        assert!(told.contains(words), "{told}");
        assert_eq!((told.matches("queued").count(), told.matches("ended").count()), (1, 1), "{told}");
    }
}
