//! The metrics, and which event is recorded in which metric.

use std::time::Duration;

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter},
};
use outbound::{Event, Operation, Usage};

use crate::names::{self, ERROR_TYPE, STATUS_CODE, WAIT_REASON};

/// The bucket bounds of durations in seconds, as the conventions recommend.
const SECONDS: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];

/// The bucket bounds of token counts, as the conventions recommend: powers of 4.
const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// All metrics.
pub(crate) struct Instruments {
    inference: Histogram<f64>,
    embeddings: Histogram<f64>,
    other: Histogram<f64>,
    first_chunk: Histogram<f64>,
    attempt: Histogram<f64>,
    wait: Histogram<f64>,
    tokens: Tokens,
}

/// The instruments that count tokens.
enum Tokens {
    Current(Box<Current>),
    /// One histogram for input and output, as in version 1.41.
    Version141(Histogram<u64>),
}

struct Current {
    input: Counter<u64>,
    output: Counter<u64>,
    cache_read: Counter<u64>,
    cache_write: Counter<u64>,
    reasoning: Counter<u64>,
    inputs: Histogram<u64>,
    outputs: Histogram<u64>,
    of_embeddings: Histogram<u64>,
}

impl Instruments {
    pub(crate) fn new(meter: &Meter) -> Self {
        let counter = |name: &'static str| {
            let name = format!("gen_ai.client.inference.usage.{name}");
            meter.u64_counter(name).with_unit("{token}").build()
        };
        let tokens = Tokens::Current(Box::new(Current {
            input: counter("input_tokens"),
            output: counter("output_tokens"),
            cache_read: counter("cache_read.input_tokens"),
            cache_write: counter("cache_write.input_tokens"),
            reasoning: counter("reasoning.output_tokens"),
            inputs: tokens(meter, "gen_ai.client.inference.operation.input_tokens"),
            outputs: tokens(meter, "gen_ai.client.inference.operation.output_tokens"),
            of_embeddings: tokens(meter, "gen_ai.client.embeddings.operation.input_tokens"),
        }));
        Self {
            inference: seconds(meter, "gen_ai.client.inference.duration"),
            embeddings: seconds(meter, "gen_ai.client.embeddings.duration"),
            first_chunk: seconds(meter, "gen_ai.client.inference.time_to_first_chunk"),
            ..Self::with(meter, tokens)
        }
    }

    pub(crate) fn of_1_41(meter: &Meter) -> Self {
        Self::with(meter, Tokens::Version141(tokens(meter, "gen_ai.client.token.usage")))
    }

    /// With one name for the durations of all operations.
    fn with(meter: &Meter, tokens: Tokens) -> Self {
        let operation = seconds(meter, "gen_ai.client.operation.duration");
        Self {
            inference: operation.clone(),
            embeddings: operation.clone(),
            other: operation,
            first_chunk: seconds(meter, "gen_ai.client.operation.time_to_first_chunk"),
            attempt: seconds(meter, "outbound.client.attempt.duration"),
            wait: seconds(meter, "outbound.client.wait.duration"),
            tokens,
        }
    }

    /// An operation has ended.
    pub(crate) fn operation(
        &self,
        event: &Event<'_>,
        elapsed: Duration,
        error: Option<&'static str>,
        usage: Option<Usage>,
    ) {
        let mut attributes = attributes(event);
        self.tokens.add(event.operation, usage, &attributes);
        attributes.extend(error.map(|error| KeyValue::new(ERROR_TYPE, error)));
        let duration = match event.operation {
            Operation::Chat | Operation::TextCompletion => &self.inference,
            Operation::Embeddings => &self.embeddings,
            _ => &self.other,
        };
        duration.record(elapsed.as_secs_f64(), &attributes);
    }

    /// The first item of its stream has come, this long after the operation began.
    pub(crate) fn first_chunk(&self, event: &Event<'_>, after: Duration) {
        self.first_chunk.record(after.as_secs_f64(), &attributes(event));
    }

    /// An attempt has ended.
    pub(crate) fn attempt(
        &self,
        event: &Event<'_>,
        took: Duration,
        status: Option<u16>,
        error: Option<&'static str>,
    ) {
        let mut attributes = attributes(event);
        attributes.extend(status.map(|status| KeyValue::new(STATUS_CODE, i64::from(status))));
        attributes.extend(error.map(|error| KeyValue::new(ERROR_TYPE, error)));
        self.attempt.record(took.as_secs_f64(), &attributes);
    }

    /// A wait has ended.
    pub(crate) fn wait(&self, event: &Event<'_>, reason: &'static str, took: Duration) {
        let mut attributes = names::of_operation(event);
        attributes.push(KeyValue::new(WAIT_REASON, reason));
        self.wait.record(took.as_secs_f64(), &attributes);
    }
}

impl Tokens {
    /// Counts the tokens of an operation, which its reply reports.
    fn add(&self, operation: Operation, told: Option<Usage>, attributes: &[KeyValue]) {
        let is_inference = matches!(operation, Operation::Chat | Operation::TextCompletion);
        match self {
            Self::Current(metrics) if is_inference => {
                if let Some(usage) = told {
                    metrics.inputs.record(usage.input, attributes);
                    metrics.outputs.record(usage.output, attributes);
                }
                // If usage is not reported, zero is added, so that the counter exists from the first failure on.
                let usage = told.unwrap_or_default();
                let attributes = with(attributes, "gen_ai.token.modality", "unknown");
                metrics.input.add(usage.input, &attributes);
                metrics.output.add(usage.output, &attributes);
                metrics.cache_read.add(usage.cached, &attributes);
                metrics.cache_write.add(usage.cache_written, &attributes);
                metrics.reasoning.add(usage.reasoning, &attributes);
            }
            Self::Current(metrics) => {
                if let (Operation::Embeddings, Some(usage)) = (operation, told) {
                    metrics.of_embeddings.record(usage.input, attributes);
                }
            }
            Self::Version141(tokens) => {
                let Some(usage) = told else { return };
                tokens.record(usage.input, &with(attributes, "gen_ai.token.type", "input"));
                if is_inference {
                    tokens.record(usage.output, &with(attributes, "gen_ai.token.type", "output"));
                }
            }
        }
    }
}

fn attributes(event: &Event<'_>) -> Vec<KeyValue> {
    let mut attributes = names::of_operation(event);
    attributes.extend(names::of_server(event));
    attributes
}

fn with(attributes: &[KeyValue], name: &'static str, value: &'static str) -> Vec<KeyValue> {
    let mut attributes = attributes.to_vec();
    attributes.push(KeyValue::new(name, value));
    attributes
}

fn seconds(meter: &Meter, name: &'static str) -> Histogram<f64> {
    meter.f64_histogram(name).with_unit("s").with_boundaries(SECONDS.to_vec()).build()
}

fn tokens(meter: &Meter, name: &'static str) -> Histogram<u64> {
    meter.u64_histogram(name).with_unit("{token}").with_boundaries(TOKENS.to_vec()).build()
}
