//! Observers: the events of a request, their order, and what each one says.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use outbound::{
    Client, Endpoint, ErrorKind, Event, Observer, Origin, Provider, Request, Route, Step, client::Delivery,
};
use outbound_simulator::{Fault, Refusal};

use crate::stack::{KEY, all_succeeded, chat, client, manager, ms, provider, run, s, stream};

/// Keeps the index of each request.
#[derive(Clone, Default)]
struct Indices(Arc<Mutex<BTreeMap<usize, String>>>);

impl Observer for Indices {
    fn event(&self, event: &Event<'_>) {
        let id = event.id.expect("an id").to_owned();
        let known = self.0.lock().expect("no panic").entry(event.index).or_insert(id.clone()).clone();
        assert_eq!(known, id);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_has_the_index_of_its_request() {
    let simulator = provider().build();
    let indices = Indices::default();
    let manager = manager(&simulator).observer(indices.clone()).build().expect("a manager");
    all_succeeded(&run(&manager, 5).await);
    let indices = indices.0.lock().expect("no panic").clone();
    let expected = (0..5).map(|id| (id, format!("r{id}")));
    assert_eq!(indices, expected.collect());
}

/// Keeps each event as words.
#[derive(Clone, Default)]
pub(crate) struct Words(Arc<Mutex<Vec<String>>>);

impl Observer for Words {
    fn event(&self, event: &Event<'_>) {
        let word = match event.step {
            Step::Sent { attempt } => format!("sent {attempt}"),
            Step::AttemptEnded { attempt, took, status, failure: Some(kind), .. } => {
                let status = status.map_or(0, |status| status.as_u16());
                format!("failed {attempt} after {took:?} with {status}: {kind}")
            }
            Step::AttemptEnded { attempt, took, .. } => format!("answered {attempt} after {took:?}"),
            Step::Item { after } => format!("item after {after:?}"),
            Step::Waiting { reason, .. } => format!("waits for {reason}"),
            Step::Waited { reason, .. } => format!("waited for {reason}"),
            Step::Ended { failure: None, .. } => String::from("ended well"),
            Step::Ended { failure: Some(kind), sends, .. } => format!("ended: {kind}, {sends} sends"),
            step => format!("{step:?}").to_lowercase(),
        };
        self.0.lock().expect("no panic").push(word);
    }
}

impl Words {
    pub(crate) fn events(&self) -> String {
        self.0.lock().expect("no panic").join("; ")
    }
}

#[tokio::test(start_paused = true)]
async fn each_step_has_one_event_in_order() {
    let simulator = provider().fault_on_attempt(Refusal::status(500), 1).build();
    let words = Words::default();
    let manager = manager(&simulator).observer(words.clone()).build().expect("a manager");
    assert!(manager.send(stream(1)).await.result.is_ok());
    let expected = "queued; admitted; sent 1; failed 1 after 200ms with 500: server_error; \
                    waits for the time between two attempts; waited for the time between two attempts; \
                    admitted; sent 2; item after 200ms; answered 2 after 200ms; ended well";
    assert_eq!(words.events(), expected);
}

/// Keeps the delivery of each attempt.
#[derive(Clone, Default)]
struct Deliveries(Arc<Mutex<Vec<Delivery>>>);

impl Observer for Deliveries {
    fn event(&self, event: &Event<'_>) {
        if let Step::AttemptEnded { delivery, .. } = event.step {
            self.0.lock().expect("no panic").push(delivery);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_attempt_says_whether_the_server_received_it() {
    let deliveries = Deliveries::default();
    let taken = || std::mem::take(&mut *deliveries.0.lock().expect("no panic"));
    let simulator = provider().fault_on_attempt(Fault::Silence, 1).build();
    let manager = || manager(&simulator).observer(deliveries.clone()).attempt_timeout(s(2));
    assert!(manager().build().expect("a manager").send(chat(1)).await.result.is_ok());
    assert_eq!(taken(), [Delivery::MaybeSent, Delivery::Replied]);

    let refused = Client::builder().connector(|_: &Origin| async {
        Err::<tokio::io::DuplexStream, _>(std::io::ErrorKind::ConnectionRefused.into())
    });
    let nowhere = manager().client(refused).max_attempts(1).build().expect("a manager");
    assert!(nowhere.send(chat(1)).await.result.is_err());
    let events = taken();
    assert!(!events.is_empty() && events.iter().all(|delivery| *delivery == Delivery::NotSent), "{events:?}");

    let cut_off = manager().build().expect("a manager");
    let sent = tokio::time::timeout(ms(100), cut_off.send(chat(2)));
    assert!(sent.await.is_err(), "it has not ended");
    // Lets the runtime drop the aborted task.
    tokio::time::sleep(ms(1)).await;
    assert_eq!(taken(), [Delivery::MaybeSent]);
}

/// A stream that breaks after its first item takes no other route, so the request ends there.
#[tokio::test(start_paused = true)]
async fn the_end_has_one_event_whatever_the_routes() {
    for (after, end) in [(3, "stream_broken; ended: stream_broken, 1 sends"), (0, "rerouted")] {
        let simulator = provider().fault_on_attempt(Fault::Truncate { after }, 1).build();
        let events = Words::default();
        let manager =
            manager(&simulator).max_attempts(1).observer(events.clone()).build().expect("a manager");
        let request = stream(1).fallback(Route::model("other"));
        let _ = manager.stream(request).outcome().await;
        let events = events.events();
        assert!(events.contains(end), "{events}");
        assert_eq!((events.matches("queued").count(), events.matches("ended").count()), (1, 1), "{events}");
    }
}

/// Nothing was sent, so there is no event of an attempt.
#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_prepared_has_a_first_and_a_last_event() {
    let simulator = provider().build();
    for (request, expected) in [
        (Request::post_raw("/chat/completions", "{"), "queued; ended: invalid, 0 sends"),
        (chat(1).to("nowhere"), "queued; ended: invalid, 0 sends"),
        (
            stream(1).fallback(Route::model("other").with_path("http://elsewhere.test/")),
            "queued; admitted; sent 1; failed 1 after 200ms with 500: server_error; ended: invalid, 1 sends",
        ),
    ] {
        let simulator = if expected.contains("500") {
            provider().fault_on_attempt(Refusal::status(500), 1).build()
        } else {
            simulator.clone()
        };
        let words = Words::default();
        let manager = manager(&simulator).max_attempts(1).observer(words.clone()).build().expect("a manager");
        assert_eq!(manager.send(request).await.error_kind(), Some(ErrorKind::Invalid));
        assert_eq!(words.events(), expected);
    }
}

/// Whatever ends a request: it is cancelled, its future or the manager is dropped, or the manager is shut down.
#[tokio::test(start_paused = true)]
async fn an_aborted_request_has_its_end_events() {
    let cut = "queued; admitted; sent 1; failed 1 after 100ms with 0: ";
    for (how, end) in
        [("cancel", "cancelled"), ("drop", "shut_down"), ("manager", "shut_down"), ("shutdown", "shut_down")]
    {
        let simulator = provider().build();
        let words = Words::default();
        let manager = manager(&simulator).observer(words.clone()).build().expect("a manager");
        match how {
            "cancel" => {
                let ticket = manager.submit(chat(1)).await.expect("it is taken in");
                tokio::time::sleep(ms(100)).await;
                assert!(ticket.cancel());
                let outcome = ticket.await;
                assert_eq!((outcome.error_kind(), outcome.sends), (Some(ErrorKind::Cancelled), 1));
            }
            "drop" => assert!(tokio::time::timeout(ms(100), manager.send(chat(1))).await.is_err()),
            "manager" => {
                let ticket = manager.submit(chat(1)).await.expect("it is taken in");
                tokio::time::sleep(ms(100)).await;
                drop(manager);
                assert_eq!(ticket.await.error_kind(), Some(ErrorKind::ShutDown));
            }
            _ => {
                let ticket = manager.submit(chat(1)).await.expect("it is taken in");
                tokio::time::sleep(ms(50)).await;
                manager.shutdown(ms(50)).await;
                assert_eq!(ticket.await.error_kind(), Some(ErrorKind::ShutDown));
            }
        }
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(words.events(), format!("{cut}{end}; ended: {end}, 1 sends"), "{how}");
    }
}

/// An aborted wait has its end event as well.
#[tokio::test(start_paused = true)]
async fn an_aborted_wait_has_its_end_event() {
    let simulator = provider().build();
    let words = Words::default();
    let manager = manager(&simulator).observer(words.clone()).build().expect("a manager");
    manager.pause();
    assert!(tokio::time::timeout(ms(100), manager.send(chat(1))).await.is_err());
    tokio::task::yield_now().await;
    let expected =
        "queued; waits for the end of a pause; waited for the end of a pause; ended: shut_down, 0 sends";
    assert_eq!(words.events(), expected);
}

/// Keeps the facts that each event has about its request.
#[derive(Clone, Default)]
struct Facts(Arc<Mutex<Vec<String>>>);

impl Observer for Facts {
    fn event(&self, event: &Event<'_>) {
        let Event { number, provider, operation, model, streams, endpoint, .. } = *event;
        let server = event
            .server
            .map_or_else(|| "-".to_owned(), |server| format!("{}:{}", server.host(), server.port()));
        let operation = operation.as_str();
        let (model, endpoint) = (model.unwrap_or("-"), endpoint.unwrap_or("-"));
        let fact = format!("{number} {endpoint} {provider} {server} {operation} {model} {streams}");
        let mut facts = self.0.lock().expect("no panic");
        if facts.last() != Some(&fact) {
            facts.push(fact);
        }
    }
}

/// The server is known from the first attempt on, and forgotten with its route.
#[tokio::test(start_paused = true)]
async fn an_event_has_operation_model_and_server() {
    let simulator =
        provider().fault_when(|seen| (seen.sequence == 0).then(|| Refusal::status(500).into())).build();
    let facts = Facts::default();
    let other = Endpoint::new(Provider::groq())
        .base_url("http://other.test:81/v1")
        .key(KEY)
        .client(client(&simulator));
    let manager = manager(&simulator)
        .endpoint("other", other)
        .max_attempts(1)
        .observer(facts.clone())
        .build()
        .expect("a manager");
    let request = stream(1).fallback(Route::to("other").with_model("m2"));
    let outcome = manager.send(request).await;
    assert!(outcome.result.is_ok(), "{outcome:?}");
    let embed = Request::post("/embeddings", &serde_json::json!({"model": "e", "input": "a river"}));
    assert!(manager.send(embed.to("other")).await.result.is_ok());
    // Requests that cannot be prepared.
    for request in [Request::post_raw("/chat", "{").to("other"), chat(3).to("nowhere").model("m3")] {
        assert_eq!(manager.send(request).await.error_kind(), Some(ErrorKind::Invalid));
    }
    let facts = facts.0.lock().expect("no panic").join("; ");
    let expected = "0 - openai_compatible - chat test true; \
                    0 - openai_compatible provider.test:80 chat test true; \
                    0 other groq - chat m2 true; \
                    0 other groq other.test:81 chat m2 true; \
                    1 other groq - embeddings e false; \
                    1 other groq other.test:81 embeddings e false; \
                    2 other groq - other - false; \
                    3 nowhere  - other m3 false";
    assert_eq!(facts, expected);
}

tokio::task_local! {
    static CALLER: &'static str;
}

/// Keeps the callers, by the number of the request.
#[derive(Clone, Default)]
struct Callers(Arc<Mutex<BTreeMap<u64, (&'static str, usize)>>>);

impl Observer for Callers {
    fn taken_in(&self, number: u64) {
        let caller = CALLER.try_with(|caller| *caller).unwrap_or("nobody");
        let before = self.0.lock().expect("no panic").insert(number, (caller, 0));
        assert_eq!(before, None);
    }

    fn event(&self, event: &Event<'_>) {
        assert!(CALLER.try_with(|_| ()).is_err(), "it has a task of its own");
        if let Step::Ended { .. } = event.step {
            self.0.lock().expect("no panic").get_mut(&event.number).expect("it was taken in").1 += 1;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_knows_the_caller_when_a_request_is_accepted() {
    let simulator = provider().build();
    let callers = Callers::default();
    let manager = manager(&simulator).observer(callers.clone()).build().expect("a manager");
    let one = CALLER.scope("one", manager.send(chat(1))).await;
    let two =
        CALLER.scope("two", async { manager.submit(chat(2)).await.expect("it is taken in").await }).await;
    assert!(one.result.is_ok() && two.result.is_ok());
    // Dropped before its task has run.
    let mut never = Box::pin(CALLER.scope("three", manager.send(chat(3))));
    assert!(futures::poll!(&mut never).is_pending());
    drop(never);
    tokio::task::yield_now().await;
    manager.shutdown(s(1)).await;
    assert_eq!(manager.send(chat(4)).await.error_kind(), Some(ErrorKind::ShutDown));
    let callers = callers.0.lock().expect("no panic").clone();
    assert_eq!(callers, BTreeMap::from([(0, ("one", 1)), (1, ("two", 1)), (2, ("three", 1))]));
}
