//! The observer: spans while a request runs, and metrics when it has ended.

use std::{
    collections::HashMap,
    fmt,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, KeyValue,
    metrics::Meter,
    trace::{SpanKind, Status, TraceContextExt, Tracer},
};
use outbound::{ErrorKind, Event, Observer, Step, Usage};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    instruments::Instruments,
    names::{self, ERROR_TYPE, MODEL, PROVIDER, STATUS_CODE, WAIT_REASON},
};

/// Records the requests of a manager as OpenTelemetry metrics and spans. Each manager needs its own observer.
///
/// It keeps one entry for each request in the manager, because spans begin and end while a request runs. The number
/// of different attribute sets is limited by the SDK, not here.
pub struct OpenTelemetry<T> {
    tracer: T,
    instruments: Instruments,
    /// The operations that run, by the numbers of their requests.
    under_way: Mutex<HashMap<u64, OperationEntry>>,
}

/// An operation that runs.
struct OperationEntry {
    /// The caller's context until the operation begins; then with its span.
    context: Context,
    began: Option<StartTime>,
    /// When the first item of the last stream came, from the operation's beginning on. Each attempt has a stream of
    /// its own.
    first_chunk: Option<Duration>,
    /// Its running attempts: mostly one, two if a slow one is hedged.
    attempts: Vec<Attempt>,
}

struct Attempt {
    number: u32,
    /// With the attempt's span.
    context: Context,
    began: SystemTime,
}

#[derive(Clone, Copy)]
struct StartTime {
    at: Instant,
    clock: SystemTime,
}

impl<T> OpenTelemetry<T>
where
    T: Tracer + Send + Sync + 'static,
    T::Span: Send + Sync + 'static,
{
    /// With the names of the current conventions.
    pub fn new(meter: &Meter, tracer: T) -> Self {
        Self { tracer, instruments: Instruments::new(meter), under_way: Mutex::default() }
    }

    /// With the metric names of the semantic conventions up to version 1.41, in place of the current ones:
    /// `gen_ai.client.operation.duration`, `gen_ai.client.operation.time_to_first_chunk` and, with
    /// `gen_ai.token.type`, `gen_ai.client.token.usage`. For dashboards that use these names. Spans are the same.
    pub fn with_names_of_1_41(meter: &Meter, tracer: T) -> Self {
        Self { tracer, instruments: Instruments::of_1_41(meter), under_way: Mutex::default() }
    }

    fn begins(&self, event: &Event<'_>) {
        let began = StartTime { at: Instant::now(), clock: SystemTime::now() };
        let mut attributes = names::of_operation(event);
        attributes.push(KeyValue::new("gen_ai.request.stream", event.streams));
        attributes.extend(event.id.map(|id| KeyValue::new("outbound.request.id", id.to_owned())));
        let builder = self.tracer.span_builder(names::span(event));
        let builder = builder.with_kind(SpanKind::Client).with_start_time(began.clock);
        let mut under_way = self.under_way.lock();
        let Some(operation) = under_way.get_mut(&event.number) else { return };
        let span = self.tracer.build_with_context(builder.with_attributes(attributes), &operation.context);
        operation.context = operation.context.with_span(span);
        operation.began = Some(began);
    }

    fn sent(&self, event: &Event<'_>, attempt: u32) {
        let now = SystemTime::now();
        let mut under_way = self.under_way.lock();
        let Some(operation) = under_way.get_mut(&event.number) else { return };
        let mut attributes = vec![
            KeyValue::new("outbound.attempt", i64::from(attempt)),
            KeyValue::new(PROVIDER, names::provider(event.provider)),
        ];
        attributes.extend(event.model.map(|model| KeyValue::new(MODEL, model.to_owned())));
        attributes.extend(names::of_server(event));
        if let Some(again) = attempt.checked_sub(1).filter(|again| *again > 0) {
            attributes.push(KeyValue::new("http.request.resend_count", i64::from(again)));
        }
        let builder = self.tracer.span_builder("attempt").with_kind(SpanKind::Client).with_start_time(now);
        let builder = builder.with_attributes(attributes);
        let span = self.tracer.build_with_context(builder, &operation.context);
        let context = operation.context.with_span(span);
        operation.attempts.push(Attempt { number: attempt, context, began: now });
    }

    fn attempt_ended(&self, event: &Event<'_>, ended: &Ended<'_>) {
        let error = ended.failure.map(ErrorKind::as_str);
        self.instruments.attempt(event, ended.took, ended.status, error);
        let attempt = self.under_way.lock().get_mut(&event.number).and_then(|operation| {
            let attempts = &mut operation.attempts;
            let place = attempts.iter().position(|attempt| attempt.number == ended.attempt)?;
            Some(attempts.swap_remove(place))
        });
        let Some(Attempt { context, began, .. }) = attempt else { return };
        let span = context.span();
        if let Some(status) = ended.status {
            span.set_attribute(KeyValue::new(STATUS_CODE, i64::from(status)));
        }
        if let Some(error) = error {
            span.set_attribute(KeyValue::new(ERROR_TYPE, error));
            span.set_status(Status::error(ended.message.to_owned()));
        }
        span.end_with_timestamp(began + ended.took);
    }

    fn ended(&self, event: &Event<'_>, failure: Option<ErrorKind>, usage: Option<Usage>, took: Duration) {
        let Step::Ended { reused, sends, .. } = event.step else { return };
        let error = failure.map(ErrorKind::as_str);
        self.instruments.operation(event, took, error, usage);
        let Some(operation) = self.under_way.lock().remove(&event.number) else { return };
        let Some(began) = operation.began else { return };
        let span = operation.context.span();
        span.set_attributes(names::of_server(event));
        span.set_attribute(KeyValue::new("outbound.sends", i64::from(sends)));
        if let Some(reused) = reused {
            span.set_attribute(KeyValue::new("outbound.reused", reused.as_str()));
        }
        if let Some(after) = operation.first_chunk {
            self.instruments.first_chunk(event, after);
            let seconds = after.as_secs_f64();
            span.set_attribute(KeyValue::new("gen_ai.response.time_to_first_chunk", seconds));
        }
        if let Some(usage) = usage {
            let tokens = [
                ("gen_ai.usage.input_tokens", usage.input, true),
                ("gen_ai.usage.output_tokens", usage.output, true),
                ("gen_ai.usage.cache_read.input_tokens", usage.cached, usage.cached > 0),
                ("gen_ai.usage.cache_write.input_tokens", usage.cache_written, usage.cache_written > 0),
                ("gen_ai.usage.reasoning.output_tokens", usage.reasoning, usage.reasoning > 0),
            ];
            for (name, count, _) in tokens.into_iter().filter(|(_, _, told)| *told) {
                span.set_attribute(KeyValue::new(name, i64::try_from(count).unwrap_or(i64::MAX)));
            }
        }
        if let (Some(failure), Some(error)) = (failure, error) {
            span.set_attribute(KeyValue::new(ERROR_TYPE, error));
            span.set_status(Status::error(failure.to_string()));
        }
        span.end_with_timestamp(began.clock + took);
    }

    /// Adds an event to the span of an operation.
    fn note(&self, event: &Event<'_>, name: &'static str, attributes: Vec<KeyValue>) {
        if let Some(operation) = self.under_way.lock().get(&event.number) {
            operation.context.span().add_event(name, attributes);
        }
    }
}

/// How an attempt has ended.
struct Ended<'a> {
    attempt: u32,
    took: Duration,
    status: Option<u16>,
    failure: Option<ErrorKind>,
    message: &'a str,
}

impl<T> Observer for OpenTelemetry<T>
where
    T: Tracer + Send + Sync + 'static,
    T::Span: Send + Sync + 'static,
{
    fn taken_in(&self, number: u64) {
        let operation = OperationEntry {
            context: Context::current(),
            began: None,
            first_chunk: None,
            attempts: Vec::new(),
        };
        self.under_way.lock().insert(number, operation);
    }

    fn event(&self, event: &Event<'_>) {
        match event.step {
            Step::Queued => self.begins(event),
            Step::Rerouted { route } => {
                let mut attributes = names::of_operation(event);
                attributes.push(KeyValue::new("outbound.route", i64::try_from(route).unwrap_or(i64::MAX)));
                self.note(event, "outbound.rerouted", attributes);
            }
            Step::Waited { reason, took } => {
                let reason = reason.as_str();
                self.instruments.wait(event, reason, took);
                let seconds = KeyValue::new("outbound.wait.seconds", took.as_secs_f64());
                self.note(event, "outbound.waited", vec![KeyValue::new(WAIT_REASON, reason), seconds]);
            }
            Step::Sent { attempt } => self.sent(event, attempt),
            Step::Item { .. } => {
                if let Some(operation) = self.under_way.lock().get_mut(&event.number) {
                    operation.first_chunk = operation.began.map(|began| began.at.elapsed());
                }
            }
            Step::AttemptEnded { attempt, took, status, failure, message, .. } => {
                let status = status.map(|status| status.as_u16());
                self.attempt_ended(event, &Ended { attempt, took, status, failure, message });
            }
            Step::Ended { failure, usage, elapsed, .. } => {
                self.ended(event, failure, usage, elapsed);
            }
            _ => {}
        }
    }
}

impl<T> fmt::Debug for OpenTelemetry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let under_way = self.under_way.lock().len();
        f.debug_struct("OpenTelemetry").field("under_way", &under_way).finish_non_exhaustive()
    }
}
