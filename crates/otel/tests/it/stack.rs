//! What the tests share: a simulated provider, a manager, and the SDK with exporters in memory.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use opentelemetry::{KeyValue, metrics::MeterProvider as _, trace::TracerProvider as _};
use opentelemetry_sdk::{
    metrics::{
        InMemoryMetricExporter, PeriodicReader, SdkMeterProvider,
        data::{AggregatedMetrics, MetricData, ScopeMetrics},
    },
    trace::{InMemorySpanExporter, SdkTracerProvider, SpanData},
};
use outbound::{Client, Provider, Request, RequestManager, RequestManagerBuilder};
use outbound_otel::OpenTelemetry;
use outbound_simulator::{Builder, Latency, Simulator};
use serde_json::{Value, json};

const KEY: &str = "sk-canary-0123456789";

/// A provider without faults that answers in 200 ms.
pub(crate) fn provider() -> Builder {
    Simulator::builder().seed(11).key(KEY).latency(Latency::fixed(Duration::from_millis(200)))
}

pub(crate) fn manager(simulator: &Simulator) -> RequestManagerBuilder {
    let simulator = simulator.clone();
    let client = Client::builder().connector(move |_origin: &outbound::Origin| {
        let pipe = simulator.connect();
        async move { Ok(pipe) }
    });
    RequestManager::builder()
        .provider(Provider::openai_compatible().with_name("mistral"))
        .base_url("http://provider.test/v1")
        .key(KEY)
        .client(client)
        .seed(7)
        .wall_clock(SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600))
}

pub(crate) fn body(stream: bool) -> Value {
    let mut body = json!({
        "model": "test",
        "messages": [{"role": "user", "content": "Name a river."}],
        "max_tokens": 32,
    });
    if stream {
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
    }
    body
}

pub(crate) fn chat() -> Request {
    Request::chat(&body(false)).id("r1")
}

/// Each request has a different text, because the simulator recognizes attempts by their bodies.
pub(crate) fn numbered(number: usize) -> Request {
    let mut body = body(false);
    body["messages"][0]["content"] = json!(format!("Name river {number}."));
    Request::chat(&body)
}

/// The SDK with exporters in memory.
pub(crate) struct Sdk {
    meters: SdkMeterProvider,
    pub(crate) tracers: SdkTracerProvider,
    metrics: InMemoryMetricExporter,
    spans: InMemorySpanExporter,
}

/// The points of a metric: for each set of attributes, the number of values and their sum.
pub(crate) type Points = BTreeMap<String, (u64, f64)>;

impl Sdk {
    pub(crate) fn new() -> Self {
        let (metrics, spans) = (InMemoryMetricExporter::default(), InMemorySpanExporter::default());
        let reader = PeriodicReader::builder(metrics.clone()).build();
        Self {
            meters: SdkMeterProvider::builder().with_reader(reader).build(),
            tracers: SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build(),
            metrics,
            spans,
        }
    }

    pub(crate) fn observer(&self) -> OpenTelemetry<opentelemetry_sdk::trace::SdkTracer> {
        OpenTelemetry::new(&self.meters.meter("test"), self.tracers.tracer("test"))
    }

    pub(crate) fn observer_of_1_41(&self) -> OpenTelemetry<opentelemetry_sdk::trace::SdkTracer> {
        OpenTelemetry::with_names_of_1_41(&self.meters.meter("test"), self.tracers.tracer("test"))
    }

    /// All metrics that have a value, by name and unit.
    pub(crate) fn metrics(&self) -> BTreeMap<String, Points> {
        self.meters.force_flush().expect("it is flushed");
        let finished = self.metrics.get_finished_metrics().expect("metrics");
        let last = finished.last().expect("one at least");
        let metrics = last.scope_metrics().flat_map(ScopeMetrics::metrics);
        let named = metrics.map(|metric| {
            let points = match metric.data() {
                AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                    let points = histogram.data_points();
                    points.map(|point| (line(point.attributes()), (point.count(), point.sum()))).collect()
                }
                AggregatedMetrics::U64(MetricData::Histogram(histogram)) => {
                    let points = histogram.data_points();
                    let value = |point: &opentelemetry_sdk::metrics::data::HistogramDataPoint<u64>| {
                        (point.count(), point.sum() as f64)
                    };
                    points.map(|point| (line(point.attributes()), value(point))).collect()
                }
                AggregatedMetrics::U64(MetricData::Sum(sum)) => {
                    assert!(sum.is_monotonic());
                    let points = sum.data_points();
                    points.map(|point| (line(point.attributes()), (1, point.value() as f64))).collect()
                }
                other => panic!("{}: {other:?}", metric.name()),
            };
            (format!("{} [{}]", metric.name(), metric.unit()), points)
        });
        named.collect()
    }

    /// The bucket bounds of a metric.
    pub(crate) fn bounds(&self, name: &str) -> Vec<f64> {
        let finished = self.metrics.get_finished_metrics().expect("metrics");
        let last = finished.last().expect("one at least");
        let mut metrics = last.scope_metrics().flat_map(ScopeMetrics::metrics);
        let metric = metrics.find(|metric| metric.name() == name).expect("the metric");
        match metric.data() {
            AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                histogram.data_points().next().expect("a point").bounds().collect()
            }
            AggregatedMetrics::U64(MetricData::Histogram(histogram)) => {
                histogram.data_points().next().expect("a point").bounds().collect()
            }
            other => panic!("{name}: {other:?}"),
        }
    }

    /// All spans that have ended, in the order of their ends.
    pub(crate) fn spans(&self) -> Vec<SpanData> {
        self.spans.get_finished_spans().expect("spans")
    }
}

/// Attributes in order. No name appears twice.
pub(crate) fn line<'a>(attributes: impl IntoIterator<Item = &'a KeyValue>) -> String {
    let mut sorted = BTreeMap::new();
    for KeyValue { key, value, .. } in attributes {
        assert_eq!(sorted.insert(key.as_str(), value.as_str().into_owned()), None, "{key} comes twice");
    }
    let attributes: Vec<_> = sorted.iter().map(|(name, value)| format!("{name}={value}")).collect();
    attributes.join(" ")
}
