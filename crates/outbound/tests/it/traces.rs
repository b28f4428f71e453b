//! Spans and events for `tracing`. Their names, levels and fields are stable.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use outbound::{ErrorKind, Hedging, Request, Route};
use outbound_simulator::{Fault, Refusal};
use serde_json::json;
use tracing::{
    Event, Instrument, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber,
};
use tracing_core::span::Current;

use crate::stack::{body, chat, manager, ms, provider};

/// Records spans and events, each with the number of its span.
#[derive(Clone)]
struct Recorder {
    recorded: Arc<Mutex<Recorded>>,
    most: LevelFilter,
}

#[derive(Default)]
struct Recorded {
    spans: Vec<Span>,
    entered: Vec<u64>,
    events: Vec<String>,
}

struct Span {
    metadata: &'static Metadata<'static>,
    parent: Option<u64>,
    fields: Fields,
    closed: bool,
}

#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        f.write_str(&fields.join(" "))
    }
}

impl Recorder {
    fn up_to(most: LevelFilter) -> Self {
        Self { recorded: Arc::default(), most }
    }

    /// One text for each span, in the order in which they began.
    fn spans(&self) -> Vec<String> {
        let recorded = self.recorded.lock().expect("no panic");
        let line = |span: &Span| {
            let parent = span.parent.map_or("-".to_owned(), |parent| parent.to_string());
            let end = if span.closed { "closed" } else { "open" };
            format!("{} {} in {parent}, {end}: {}", span.metadata.level(), span.metadata.name(), span.fields)
        };
        recorded.spans.iter().map(line).collect()
    }

    fn events(&self) -> Vec<String> {
        self.recorded.lock().expect("no panic").events.clone()
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let known = metadata.target() == "outbound::request" || metadata.target().starts_with("it::");
        known && *metadata.level() <= self.most
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.most)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut recorded = self.recorded.lock().expect("no panic");
        let mut fields = Fields::default();
        span.record(&mut fields);
        let metadata = span.metadata();
        let current = if span.is_contextual() { recorded.entered.last().copied() } else { None };
        let parent = span.parent().map(Id::into_u64).or(current);
        recorded.spans.push(Span { metadata, parent, fields, closed: false });
        Id::from_u64(recorded.spans.len() as u64)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        let mut recorded = self.recorded.lock().expect("no panic");
        values.record(&mut recorded.spans[id.into_u64() as usize - 1].fields);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let parent = event.parent().map_or("-".to_owned(), |id| id.into_u64().to_string());
        let (name, level) = (event.metadata().name(), event.metadata().level());
        self.recorded.lock().expect("no panic").events.push(format!("{level} {name} in {parent}: {fields}"));
    }

    fn enter(&self, id: &Id) {
        self.recorded.lock().expect("no panic").entered.push(id.into_u64());
    }

    fn exit(&self, _: &Id) {
        self.recorded.lock().expect("no panic").entered.pop();
    }

    fn try_close(&self, id: Id) -> bool {
        self.recorded.lock().expect("no panic").spans[id.into_u64() as usize - 1].closed = true;
        true
    }

    fn current_span(&self) -> tracing_core::span::Current {
        let recorded = self.recorded.lock().expect("no panic");
        recorded.entered.last().map_or_else(Current::none, |id| {
            let metadata = recorded.spans[*id as usize - 1].metadata;
            Current::new(Id::from_u64(*id), metadata)
        })
    }
}

/// The span of a request is inside the span of its caller, and two attempts are inside the request.
#[tokio::test(start_paused = true)]
async fn a_request_is_a_span_in_that_of_its_caller_and_each_attempt_one_in_it() {
    let recorder = Recorder::up_to(LevelFilter::TRACE);
    let _subscribed = subscriber::set_default(recorder.clone());
    let simulator = provider().fault_on_attempt(Refusal::status(500), 1).build();
    let manager = manager(&simulator).build().expect("a manager");
    let mut body = body(1);
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    let outcome = manager.send(Request::chat(&body).id("r1")).instrument(tracing::info_span!("caller")).await;
    let usage = outcome.usage.expect("tokens are reported");
    let request = format!(
        "INFO outbound.request in 1, closed: id=r1 index=0 input_tokens={} model=test number=0 operation=chat \
         outcome=answered output_tokens={} provider=openai_compatible sends=2 stream=true",
        usage.input, usage.output
    );
    let attempt = "DEBUG outbound.attempt in 2, closed: attempt=";
    let (server, failed) = ("server=provider.test", "outcome=server_error provider=openai_compatible");
    let spans = recorder.spans();
    assert_eq!(
        spans[1..],
        [
            request,
            format!("{attempt}1 {failed} {server} status=500"),
            format!("{attempt}2 outcome=answered provider=openai_compatible {server} status=200"),
        ]
    );
    let names: Vec<_> = recorder.events().iter().map(|event| first_words(event, 4)).collect();
    assert_eq!(
        names,
        [
            "DEBUG outbound.admitted in 2:",
            "INFO outbound.attempt_failed in 2:",
            "DEBUG outbound.waiting in 2:",
            "DEBUG outbound.waited in 2:",
            "DEBUG outbound.admitted in 2:",
            "DEBUG outbound.first_item in 2:",
            "DEBUG outbound.answered in 2:",
        ]
    );
    let failed = &recorder.events()[1];
    assert!(failed.contains("attempt=1") && failed.contains("kind=server_error"), "{failed}");
    assert!(failed.contains("status=500") && failed.contains("took_s=0.2"), "{failed}");
    assert!(recorder.events()[2].contains("reason=backoff"), "{:?}", recorder.events());
}

/// The caller decides what a failure means, so a failure is not a warning.
#[tokio::test(start_paused = true)]
async fn at_the_level_of_info_there_is_what_fails() {
    let recorder = Recorder::up_to(LevelFilter::INFO);
    let _subscribed = subscriber::set_default(recorder.clone());
    let simulator =
        provider().fault_when(|seen| (seen.sequence == 0).then(|| Refusal::status(500).into())).build();
    let manager =
        manager(&simulator).max_attempts(1).fallback(Route::model("other")).build().expect("a manager");
    assert!(manager.send(chat(1)).await.result.is_ok());
    assert!(tokio::time::timeout(ms(100), manager.send(chat(2))).await.is_err());
    tokio::task::yield_now().await;
    assert_eq!(recorder.spans().len(), 2);
    let names: Vec<_> = recorder.events().iter().map(|event| first_words(event, 4)).collect();
    let first = ["INFO outbound.attempt_failed in 1:", "INFO outbound.rerouted in 1:"];
    let second = ["INFO outbound.attempt_failed in 2:", "INFO outbound.failed in 2:"];
    assert_eq!(names, [first, second].concat());
    assert!(recorder.events()[3].contains("kind=shut_down"), "{:?}", recorder.events());
}

/// A slow attempt and its hedge have a span each, with an end each.
#[tokio::test(start_paused = true)]
async fn two_attempts_at_once_are_two_spans() {
    let late = Fault::KeepAlive { every: ms(50), count: Some(2) };
    for (fault, outcomes) in [(Fault::Silence, ["cancelled", "answered"]), (late, ["answered", "cancelled"])]
    {
        let simulator = provider()
            .fault_when(move |seen| (seen.sequence >= 30 && seen.attempt == 1).then(|| fault.clone()))
            .build();
        let hedging = Hedging::at_percentile(90).budget(100).allow_duplicates();
        let manager = manager(&simulator).hedge(hedging).build().expect("a manager");
        for id in 0..30 {
            assert!(manager.send(chat(id)).await.result.is_ok());
        }
        let recorder = Recorder::up_to(LevelFilter::DEBUG);
        let _subscribed = subscriber::set_default(recorder.clone());
        assert!(manager.send(chat(30)).await.result.is_ok());
        let spans = recorder.spans();
        for (number, outcome) in (1..).zip(outcomes) {
            let expected = format!("closed: attempt={number} outcome={outcome}");
            assert!(spans[number].contains(&expected), "{expected} is not in {spans:#?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_of_warnings_gets_nothing() {
    let recorder = Recorder::up_to(LevelFilter::WARN);
    let _subscribed = subscriber::set_default(recorder.clone());
    let simulator = provider().fault_on_attempt(Refusal::status(400), 1).build();
    let manager = manager(&simulator).build().expect("a manager");
    assert_eq!(manager.send(chat(1)).await.error_kind(), Some(ErrorKind::Rejected));
    assert_eq!((recorder.spans().len(), recorder.events().len()), (0, 0));
}

/// A subscriber that panics.
struct Panics(Arc<Mutex<usize>>);

impl Subscriber for Panics {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "outbound::request"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        *self.0.lock().expect("no panic") += 1;
        panic!("a mistake in a subscriber");
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_panics_costs_no_answer_and_gets_no_more_events_of_the_request() {
    let events = Arc::default();
    let _subscribed = subscriber::set_default(Panics(Arc::clone(&events)));
    let simulator = provider().build();
    let manager = manager(&simulator).build().expect("a manager");
    for requests in 1..=2 {
        assert!(manager.send(chat(requests)).await.result.is_ok());
        assert_eq!(*events.lock().expect("no panic"), requests);
    }
}

fn first_words(text: &str, words: usize) -> String {
    text.split(' ').take(words).collect::<Vec<_>>().join(" ")
}
