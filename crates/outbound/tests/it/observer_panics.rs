//! Panics in an observer or in a subscriber of logs: they cost no answer.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use outbound::{ErrorKind, Event, Observer};
use outbound_simulator::Refusal;
use tracing::{
    Metadata,
    span::{Attributes, Id, Record},
};

use crate::{
    observers::Words,
    stack::{all_succeeded, chat, manager, provider, run, s, stream},
};

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
    // Queued, admitted, sent, item, attempt ended, ended.
    for at in 1..=6 {
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

/// The request ends with the panic, and not with a shutdown that never came. Its permits are free again.
#[tokio::test(start_paused = true)]
async fn a_panic_in_the_task_of_a_request_has_an_error_of_its_own() {
    let simulator = provider()
        .fault_when(|seen| (seen.sequence == 0).then(|| Refusal::rate_limited().retry_after(s(901)).into()))
        .build();
    let manager = manager(&simulator).max_concurrent(1).build().expect("a manager");
    let subscribed = tracing::subscriber::set_default(Subscriber);
    // A pause that is too long is logged.
    let outcome = manager.send(chat(1)).await;
    drop(subscribed);
    assert_eq!((outcome.error_kind(), outcome.sends), (Some(ErrorKind::Panicked), 1), "{outcome:?}");
    manager.resume();
    let outcome = tokio::time::timeout(s(1), manager.send(chat(2))).await.expect("there is room");
    assert!(outcome.result.is_ok(), "{outcome:?}");
}

/// A panic of one observer does not affect the others.
#[tokio::test(start_paused = true)]
async fn several_observers_get_the_same_events() {
    let simulator = provider().build();
    let (before, after) = (Words::default(), Words::default());
    let events = Arc::new(AtomicUsize::new(0));
    let manager = manager(&simulator)
        .observer(before.clone())
        .observer(Panics { at: 2, events: Arc::clone(&events) })
        .observer(after.clone())
        .build()
        .expect("a manager");
    assert!(manager.send(chat(1)).await.result.is_ok());
    let expected = "queued; admitted; sent 1; answered 1 after 200ms; ended well";
    assert_eq!((before.events(), after.events()), (expected.to_owned(), expected.to_owned()));
    assert_eq!(events.load(Ordering::Relaxed), 2);
}
