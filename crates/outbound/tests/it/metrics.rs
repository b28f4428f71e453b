//! The page for Prometheus, read by a parser written for the test.

use std::collections::BTreeMap;

use outbound::{Endpoint, Metrics, Price, Prices, Provider, Request, Route};
use outbound_simulator::Refusal;
use serde_json::json;

use crate::stack::{KEY, body, chat, client, manager, ms, provider, s};

/// A parsed page: the name and labels of each sample, and its value.
#[derive(Debug, Default)]
struct Page {
    samples: BTreeMap<String, f64>,
    kinds: BTreeMap<String, String>,
}

impl Page {
    fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'));
        let mut page = Self::default();
        let mut family = String::new();
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                family = help.split(' ').next().expect("a name").to_owned();
                assert!(help.len() > family.len() + 1, "no help: {line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a type");
                assert_eq!(name, family);
                assert_eq!(page.kinds.insert(name.to_owned(), kind.to_owned()), None, "twice: {name}");
            } else {
                let (name, labels, value) = sample(line);
                let of_family = name.strip_prefix(family.as_str()).expect("samples stand under their head");
                let suffixes = if page.kinds[&family] == "histogram" {
                    &["_bucket", "_sum", "_count"][..]
                } else {
                    &[""]
                };
                assert!(suffixes.contains(&of_family), "{line}");
                let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
                let key = format!("{name} {}", labels.join(" "));
                assert_eq!(page.samples.insert(key, value), None, "twice: {line}");
            }
        }
        page
    }

    /// The value of the sample with this name and these labels. Empty labels are left out.
    fn value(&self, sample: &str) -> f64 {
        *self.samples.get(sample).unwrap_or_else(|| panic!("{sample} is not in {:#?}", self.samples.keys()))
    }

    /// The sum of all samples of a name.
    fn sum(&self, name: &str) -> f64 {
        let of_name = self.samples.iter().filter(|(sample, _)| sample.split(' ').next() == Some(name));
        of_name.map(|(_, value)| value).sum()
    }
}

/// The name, the labels in order without empty ones, and the value of a sample.
fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let end = line.find(['{', ' ']).expect("a name and more");
    let name = &line[..end];
    assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':'), "{line}");
    let mut rest = line[end..].chars().peekable();
    let mut labels = BTreeMap::new();
    if rest.next() == Some('{') {
        while rest.peek() != Some(&'}') {
            let name: String = rest.by_ref().take_while(|c| *c != '=').collect();
            assert_eq!(rest.next(), Some('"'), "{line}");
            let mut value = String::new();
            loop {
                match rest.next().expect("a quotation mark") {
                    '"' => break,
                    '\\' => value.push(match rest.next() {
                        Some('n') => '\n',
                        Some(escaped @ ('\\' | '"')) => escaped,
                        other => panic!("an escape that is none: {other:?}"),
                    }),
                    other => value.push(other),
                }
            }
            if !value.is_empty() {
                labels.insert(name, value);
            }
            rest.next_if_eq(&',');
        }
        rest.next();
        assert_eq!(rest.next(), Some(' '), "{line}");
    }
    let value: String = rest.collect();
    (name.to_owned(), labels, value.parse().expect("a number"))
}

#[tokio::test(start_paused = true)]
async fn the_page_counts_requests_attempts_and_waits_apart() {
    let simulator = provider()
        .fault_when(|seen| (seen.sequence == 0).then(|| Refusal::rate_limited().retry_after(s(5)).into()))
        .build();
    let metrics = Metrics::default();
    let price = Price::per_million(1.0, 2.0);
    let manager = manager(&simulator)
        .prices(Prices::new().model("test", price))
        .observer(metrics.clone())
        .build()
        .expect("a manager");
    let outcome = manager.send(chat(1)).await;
    let usage = outcome.usage.expect("tokens are reported");
    let mut stream = body(2);
    stream["stream"] = json!(true);
    let streamed = manager.send(Request::chat(&stream)).await;
    assert!(streamed.result.is_ok());
    let costs = [&outcome, &streamed].map(|outcome| outcome.cost.expect("it has a price").as_dollars());
    let page = Page::read(&metrics.to_string());
    let of = "model=test";
    let by = "provider=openai_compatible";
    for (sample, expected) in [
        ("outbound_requests_in_progress ".to_owned(), 0.0),
        (format!("outbound_requests_total {of} outcome=answered {by}"), 2.0),
        (format!("outbound_attempts_total {of} outcome=answered {by}"), 2.0),
        (format!("outbound_attempts_total {of} outcome=rate_limited {by}"), 1.0),
        (format!("outbound_attempts_in_flight {of} {by}"), 0.0),
        (format!("outbound_request_duration_seconds_count {of} {by}"), 2.0),
        (format!("outbound_request_duration_seconds_bucket le=2.5 {of} {by}"), 1.0),
        (format!("outbound_request_duration_seconds_bucket le=5 {of} {by}"), 1.0),
        (format!("outbound_request_duration_seconds_bucket le=10 {of} {by}"), 2.0),
        (format!("outbound_request_duration_seconds_bucket le=+Inf {of} {by}"), 2.0),
        (format!("outbound_attempt_duration_seconds_count {of} {by}"), 3.0),
        (format!("outbound_attempt_duration_seconds_bucket le=2.5 {of} {by}"), 3.0),
        (format!("outbound_first_item_seconds_count {of} {by}"), 1.0),
        (format!("outbound_tokens_total {of} {by} type=input"), usage.input as f64),
        (format!("outbound_tokens_total {of} {by} type=output"), usage.output as f64),
        (format!("outbound_cost_dollars_total {of} {by}"), costs.iter().sum()),
        (format!("outbound_reroutes_total {of} {by}"), 0.0),
    ] {
        let value = page.value(&sample);
        assert!((value - expected).abs() < 1e-9, "{sample}: {value} and not {expected}");
    }
    let waited = page.sum("outbound_wait_seconds_total");
    let recorded = (outcome.waited + streamed.waited).as_secs_f64();
    assert!((waited - recorded).abs() < 0.01, "{waited} {recorded}");
    assert!(waited >= 5.0 && page.sum("outbound_waits_total") >= 1.0);
    assert_eq!(page.sum("outbound_requests_waiting"), 0.0);
    assert_eq!(page.kinds["outbound_wait_seconds_total"], "counter");
    assert_eq!(page.kinds["outbound_requests_waiting"], "gauge");
}

/// While requests run, and after they are aborted.
#[tokio::test(start_paused = true)]
async fn requests_in_flight_are_on_the_page() {
    let simulator = provider().build();
    let metrics = Metrics::default();
    let manager = manager(&simulator).max_concurrent(2).observer(metrics.clone()).build().expect("a manager");
    let mut tickets = Vec::new();
    for id in 0..5 {
        tickets.push(manager.submit(chat(id)).await.expect("it is taken in"));
    }
    tokio::time::sleep(ms(100)).await;
    let page = Page::read(&metrics.to_string());
    assert_eq!(page.sum("outbound_requests_in_progress"), 5.0);
    assert_eq!(page.sum("outbound_attempts_in_flight"), 2.0);
    assert_eq!(page.sum("outbound_requests_waiting"), 3.0);
    drop(manager);
    for ticket in tickets {
        assert!(ticket.await.result.is_err());
    }
    let page = Page::read(&metrics.to_string());
    for gauge in ["outbound_requests_in_progress", "outbound_attempts_in_flight", "outbound_requests_waiting"]
    {
        assert_eq!(page.sum(gauge), 0.0, "{gauge}");
    }
    let cut = "model=test outcome=shut_down provider=openai_compatible";
    assert_eq!(page.value(&format!("outbound_requests_total {cut}")), 5.0);
    assert_eq!(page.value(&format!("outbound_attempts_total {cut}")), 2.0);
}

/// Each wait ends under the labels of its own route, so no gauge stays above zero.
#[tokio::test(start_paused = true)]
async fn another_route_has_labels_of_its_own() {
    let simulator = provider()
        .fault_when(|seen| (seen.sequence == 0).then(|| Refusal::rate_limited().retry_after(s(2)).into()))
        .build();
    let metrics = Metrics::default();
    let other =
        Endpoint::new(Provider::groq()).base_url("http://other.test/v1").key(KEY).client(client(&simulator));
    let manager = manager(&simulator)
        .endpoint("other", other)
        .fallback(Route::to("other").with_model("m2").after(s(1)))
        .observer(metrics.clone())
        .build()
        .expect("a manager");
    assert!(manager.send(chat(1)).await.result.is_ok());
    let page = Page::read(&metrics.to_string());
    let there = "endpoint=other model=m2";
    assert_eq!(page.value(&format!("outbound_requests_total {there} outcome=answered provider=groq")), 1.0);
    assert_eq!(page.value(&format!("outbound_reroutes_total {there} provider=groq")), 1.0);
    assert_eq!(page.sum("outbound_requests_total"), 1.0);
    assert_eq!(page.sum("outbound_requests_waiting"), 0.0);
    assert_eq!(page.sum("outbound_attempts_in_flight"), 0.0);
}

/// Two answers, one call, one bill.
#[tokio::test(start_paused = true)]
async fn what_is_reused_is_counted_by_where_it_comes_from() {
    let simulator = provider().build();
    let metrics = Metrics::default();
    let manager = manager(&simulator).coalesce(true).observer(metrics.clone()).build().expect("a manager");
    let (one, two) = futures::join!(manager.send(chat(1)), manager.send(chat(1)));
    let usage = one.usage.or(two.usage).expect("tokens are reported");
    let page = Page::read(&metrics.to_string());
    let of = "model=test provider=openai_compatible";
    assert_eq!(page.value(&format!("outbound_requests_reused_total from=in_flight {of}")), 1.0);
    assert_eq!((page.sum("outbound_requests_total"), page.sum("outbound_attempts_total")), (2.0, 1.0));
    assert_eq!(page.value(&format!("outbound_tokens_total {of} type=input")), usage.input as f64);
}

#[tokio::test(start_paused = true)]
async fn a_label_may_hold_anything() {
    let simulator = provider().build();
    let metrics = Metrics::default();
    let manager = manager(&simulator).observer(metrics.clone()).build().expect("a manager");
    let model = "a \"b\"\\n{c},\nd=1\té";
    let mut named = body(1);
    named["model"] = json!(model);
    let _ = manager.send(Request::chat(&named)).await;
    let text = metrics.to_string();
    let page = Page::read(&text);
    let samples = page.samples.keys().filter(|sample| sample.contains(&format!("model={model} "))).count();
    assert!(samples > 20, "{text}");
}
