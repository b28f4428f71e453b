//! Tests of spans: an operation inside the span of its caller, and its attempts inside the operation.

use std::time::Duration;

use opentelemetry::{
    Context,
    trace::{FutureExt, SpanId, SpanKind, Status, TraceContextExt, Tracer, TracerProvider},
};
use outbound::{ErrorKind, Hedging, Provider, Request, Route};
use outbound_simulator::{Fault, Refusal};

use crate::stack::{Sdk, body, chat, line, manager, numbered, provider};

const OF: &str = "gen_ai.operation.name=chat gen_ai.provider.name=mistral_ai gen_ai.request.model=test";
const SERVER: &str = "server.address=provider.test server.port=80";

#[tokio::test(start_paused = true)]
async fn each_attempt_is_a_span_in_that_of_its_operation() {
    let sdk = Sdk::new();
    let simulator = provider().fault_on_attempt(Refusal::status(500), 1).build();
    let manager = manager(&simulator).observer(sdk.observer()).build().expect("a manager");
    let caller = Context::new().with_span(sdk.tracers.tracer("test").start("caller"));
    let outcome = manager.send(Request::chat(&body(true)).id("r1")).with_context(caller.clone()).await;
    let usage = outcome.usage.expect("tokens are told");
    let spans = sdk.spans();
    let [failed, answered, operation] = &spans[..] else { panic!("{spans:#?}") };
    assert_eq!(operation.name, "chat test");
    assert_eq!(operation.parent_span_id, caller.span().span_context().span_id());
    assert_eq!(operation.span_context.trace_id(), caller.span().span_context().trace_id());
    assert_eq!((&operation.span_kind, &operation.status), (&SpanKind::Client, &Status::Unset));
    let attributes = line(&operation.attributes);
    let (input, output) = (usage.input, usage.output);
    for part in [
        format!("{OF} gen_ai.request.stream=true gen_ai.response.time_to_first_chunk="),
        format!("gen_ai.usage.input_tokens={input} gen_ai.usage.output_tokens={output}"),
        format!("outbound.request.id=r1 outbound.sends=2 {SERVER}"),
    ] {
        assert!(attributes.contains(&part), "{part} is not in {attributes}");
    }
    let took = operation.end_time.duration_since(operation.start_time).expect("an end after its beginning");
    assert_eq!(took, outcome.elapsed);
    let events: Vec<_> = operation.events.iter().map(|event| event.name.as_ref()).collect();
    assert_eq!(events, ["outbound.waited"]);
    assert!(
        line(&operation.events[0].attributes)
            .starts_with("outbound.wait.reason=backoff outbound.wait.seconds=")
    );
    for attempt in [failed, answered] {
        assert_eq!((attempt.name.as_ref(), &attempt.span_kind), ("attempt", &SpanKind::Client));
        assert_eq!(attempt.parent_span_id, operation.span_context.span_id());
    }
    let of = "gen_ai.provider.name=mistral_ai gen_ai.request.model=test";
    assert_eq!(
        line(&failed.attributes),
        format!("error.type=server_error {of} http.response.status_code=500 outbound.attempt=1 {SERVER}")
    );
    let resent = "http.request.resend_count=1 http.response.status_code=200";
    assert_eq!(line(&answered.attributes), format!("{of} {resent} outbound.attempt=2 {SERVER}"));
    assert!(matches!(&failed.status, Status::Error { description } if description.contains("500")));
    let took = failed.end_time.duration_since(failed.start_time).expect("an end after its beginning");
    assert_eq!(took, outcome.attempts[0].took);
}

/// A request that is cancelled, one that no route answers, and one that cannot be sent.
#[tokio::test(start_paused = true)]
async fn a_span_ends_however_its_request_ends() {
    let sdk = Sdk::new();
    let simulator =
        provider().fault_when(|seen| (seen.sequence > 0).then(|| Refusal::status(400).into())).build();
    let manager = manager(&simulator)
        .observer(sdk.observer())
        .fallback(Route::model("other"))
        .build()
        .expect("a manager");
    let ticket = manager.submit(chat()).await.expect("it is taken in");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(ticket.cancel());
    assert_eq!(ticket.await.error_kind(), Some(ErrorKind::Cancelled));
    assert_eq!(manager.send(chat()).await.error_kind(), Some(ErrorKind::Rejected));
    assert_eq!(manager.send(chat().to("nowhere")).await.error_kind(), Some(ErrorKind::Invalid));
    let ended: Vec<_> = sdk
        .spans()
        .iter()
        .map(|span| {
            let attributes = line(&span.attributes);
            let error = attributes.split(' ').find_map(|one| one.strip_prefix("error.type="));
            assert!(matches!(&span.status, Status::Error { .. }), "{span:?}");
            let root = span.parent_span_id == SpanId::INVALID;
            assert_eq!(root, span.name != "attempt", "{span:?}");
            format!("{} {}", span.name, error.expect("an error"))
        })
        .collect();
    let expected = [
        "attempt cancelled",
        "chat test cancelled",
        "attempt rejected",
        "chat test rejected",
        "other invalid",
    ];
    assert_eq!(ended, expected);
}

/// A slow attempt and its hedge are two spans, and each has its own end.
#[tokio::test(start_paused = true)]
async fn two_attempts_at_once_are_two_spans() {
    let late = Fault::KeepAlive { every: Duration::from_millis(50), count: Some(2) };
    for (fault, given_up, answered) in [(Fault::Silence, 1, 2), (late, 2, 1)] {
        let sdk = Sdk::new();
        let simulator = provider()
            .fault_when(move |seen| (seen.sequence >= 30 && seen.attempt == 1).then(|| fault.clone()))
            .build();
        let hedging = Hedging::at_percentile(90).budget(100).allow_duplicates();
        let manager = manager(&simulator).hedge(hedging).observer(sdk.observer()).build().expect("a manager");
        for id in 0..31 {
            assert!(manager.send(numbered(id)).await.result.is_ok());
        }
        let spans = sdk.spans();
        let [first, second, operation] = &spans[spans.len() - 3..] else { panic!("{spans:#?}") };
        for (attempt, number, error) in [(first, given_up, true), (second, answered, false)] {
            assert_eq!(attempt.parent_span_id, operation.span_context.span_id());
            let attributes = line(&attempt.attributes);
            assert!(attributes.contains(&format!("outbound.attempt={number}")), "{attributes}");
            assert_eq!(attributes.contains("error.type=cancelled"), error, "{attributes}");
        }
        assert_eq!((spans.len(), operation.name.as_ref()), (63, "chat test"));
    }
}

/// The conventions have their own name for Gemini's operation.
#[tokio::test(start_paused = true)]
async fn well_known_values_are_those_of_the_conventions() {
    for (name, provider_name, operation) in [
        ("openai_responses", "openai", "chat"),
        ("azure_openai", "azure.ai.openai", "chat"),
        ("gemini", "gcp.gemini", "generate_content"),
        ("moonshot", "moonshot_ai", "chat"),
        ("anthropic", "anthropic", "chat"),
        ("vllm", "vllm", "chat"),
    ] {
        let sdk = Sdk::new();
        let simulator = provider().build();
        let named = Provider::openai_compatible().with_name(name);
        let manager =
            manager(&simulator).provider(named).observer(sdk.observer()).build().expect("a manager");
        assert!(manager.send(chat()).await.result.is_ok());
        let spans = sdk.spans();
        assert_eq!(spans[1].name, format!("{operation} test"));
        let attributes = line(&spans[1].attributes);
        let expected = format!("gen_ai.operation.name={operation} gen_ai.provider.name={provider_name} ");
        assert!(attributes.contains(&expected), "{attributes}");
    }
}

/// Entries of ended requests are removed.
#[tokio::test(start_paused = true)]
async fn nothing_is_kept_of_what_has_ended() {
    let sdk = Sdk::new();
    let simulator = provider().build();
    let observer = std::sync::Arc::new(sdk.observer());
    let manager = manager(&simulator).observer(Shared(observer.clone())).build().expect("a manager");
    assert!(manager.send(chat()).await.result.is_ok());
    drop(manager.submit(chat()).await.expect("it is taken in"));
    drop(manager);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(format!("{observer:?}"), "OpenTelemetry { under_way: 0, .. }");
}

/// An observer that the test can read.
struct Shared<O>(std::sync::Arc<O>);

impl<O: outbound::Observer> outbound::Observer for Shared<O> {
    fn taken_in(&self, number: u64) {
        self.0.taken_in(number);
    }

    fn event(&self, event: &outbound::Event<'_>) {
        self.0.event(event);
    }
}
