//! key-in-logs, key-to-stranger: a test key appears nowhere but in its own header.

use std::sync::{Arc, Mutex};

use outbound::{Event, Metrics, Observer, Provider, RequestManager};
use outbound_simulator::{Fault, Refusal};

use crate::stack::{KEY, chat, manager, provider, s, stream};

/// Collects everything that is logged.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<String>>);

impl Observer for Events {
    fn event(&self, event: &Event<'_>) {
        *self.0.lock().expect("no panic") += &format!("{event:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn key_in_logs() {
    let mut shown = String::new();
    for fault in
        [Refusal::status(400).into(), Refusal::status(500).into(), Fault::ResetBeforeHeaders, Fault::Silence]
    {
        let simulator = provider().fault(fault, 1.0).build();
        let (events, metrics) = (Events::default(), Metrics::default());
        let builder = manager(&simulator).max_attempts(1).attempt_timeout(s(1));
        let builder = builder.observer(events.clone()).observer(metrics.clone());
        shown += &format!("{builder:?}");
        let manager = builder.build().expect("a manager");
        for request in [chat(1), stream(2)] {
            shown += &format!("{request:?}");
            let outcome = manager.send(request).await;
            shown += &format!("{outcome:?} {manager:?}");
            let error = outcome.result.expect_err("it failed");
            let mut cause: Option<&dyn std::error::Error> = Some(&error);
            while let Some(error) = cause {
                shown += &format!("{error} {error:?}");
                cause = error.source();
            }
        }
        let events = events.0.lock().expect("no panic").clone();
        assert!(events.contains("AttemptEnded") && events.contains("message"), "{events}");
        shown += &format!("{events} {metrics} {metrics:?}");
    }
    assert!(!shown.contains(KEY) && !shown.contains("canary"));
}

#[tokio::test(start_paused = true)]
async fn key_to_stranger() {
    let simulator = provider().build();
    let manager = manager(&simulator).build().expect("a manager");
    let request = outbound::Request::post("http://stranger.test/v1/chat/completions", &crate::stack::body(1));
    let outcome = manager.send(request).await;
    let error = outcome.result.expect_err("an address is no path");
    assert_eq!(
        (error.kind(), outcome.sends, simulator.ledger().sends()),
        (outbound::ErrorKind::Invalid, 0, 0)
    );
}

#[test]
fn an_address_with_a_password_is_not_shown() {
    let builder = || {
        RequestManager::builder().provider(Provider::http()).base_url("http://user:hunter2@h.test/?k=hunter3")
    };
    let shown = format!("{:?} {:?}", builder(), builder().build());
    assert!(!shown.contains("hunter"), "{shown}");
}
