//! The summary of a run. The provider is in memory, and the clock is paused.

use futures::StreamExt;
use outbound::{Client, Origin, Price, Prices, Request, RequestManagerBuilder};
use outbound_simulator::{Builder, Fault, Latency, Refusal, Simulator};
use serde_json::json;

use super::*;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn provider() -> Builder {
    Simulator::builder().seed(3).latency(Latency::fixed(s(1))).output_tokens(10..=10)
}

fn manager(simulator: &Simulator) -> RequestManagerBuilder {
    let dialled = simulator.clone();
    let client = Client::builder().connector(move |_: &Origin| {
        let dialled = dialled.clone();
        async move { dialled.dial().await }
    });
    RequestManager::builder().base_url("http://provider.test/v1").key("k").client(client).seed(7)
}

fn request(id: usize) -> Request {
    let messages = json!([{"role": "user", "content": format!("Hello {id}.")}]);
    Request::chat(&json!({"model": "m", "messages": messages, "max_tokens": 50})).id(format!("r{id}"))
}

/// Runs this many requests for at most this long, and cuts off those in flight then.
async fn run(builder: RequestManagerBuilder, requests: usize, most: Duration) -> Summary {
    let watch = Watch::new(false);
    let manager = builder.observer(watch.clone()).build().expect("a manager");
    let mut summary = Summary::new(&watch);
    summary.asked = Some(requests as u64);
    summary.output = String::from("out.jsonl");
    let mut outcomes = manager.batch((0..requests).map(request));
    let took = async {
        let mut looks = tokio::time::interval(Duration::from_millis(250));
        loop {
            tokio::select! {
                biased;
                _ = looks.tick() => watch.look(&manager.snapshot()),
                outcome = StreamExt::next(&mut outcomes) => match outcome {
                    Some(outcome) => summary.add(&outcome),
                    None => break,
                },
            }
        }
    };
    let _ = tokio::time::timeout(most, took).await;
    summary.wall = watch.read(|counts| counts.began.elapsed());
    drop(outcomes);
    manager.shutdown(Duration::ZERO).await;
    summary.stopped = None;
    summary.spent = manager.spent();
    summary
}

#[tokio::test(start_paused = true)]
async fn all_of_it_in_words() {
    let fault = |seen: &outbound_simulator::Seen| (seen.sequence == 2).then(|| Refusal::status(400).into());
    let simulator = provider().fault_when(fault).build();
    let prices = Prices::new().model("m", Price::per_million(1_000.0, 10_000.0));
    let builder = manager(&simulator).max_concurrent(2).requests_per_minute(600).prices(prices);
    let mut summary = run(builder, 6, s(100)).await;
    summary.skipped = 4;
    summary.go_on = Some(String::from("outbound run in.jsonl --retry-failed"));
    let facts = summary.facts();
    insta::assert_snapshot!("text", facts.to_string());
    let json = serde_json::to_string_pretty(&facts).expect("JSON");
    insta::assert_snapshot!("json", json);
}

/// What the end says of a run that was cut off, whose key was refused, or whose output failed.
#[tokio::test(start_paused = true)]
async fn a_bad_end_in_words() {
    let simulator = provider().key("another key").build();
    let mut summary = run(manager(&simulator).max_concurrent(1), 6, s(100)).await;
    summary.go_on = Some(String::from("outbound run in.jsonl"));
    let refused = summary.facts().to_string();
    let simulator = provider().build();
    let mut summary = run(manager(&simulator).max_concurrent(1), 6, Duration::from_millis(2_500)).await;
    summary.interrupted = true;
    let cut_off = summary.facts().to_string();
    insta::assert_snapshot!("bad_ends", format!("a refused key:\n{refused}\n\ncut off:\n{cut_off}"));
}

#[tokio::test(start_paused = true)]
async fn what_was_cut_off_is_told_from_what_was_not_sent() {
    // Of eight requests two are answered. One was refused and one lost its connection; both wait for their next attempt.
    let fault = |seen: &outbound_simulator::Seen| match seen.sequence {
        0 => Some(Fault::from(Refusal::status(503).retry_after(s(60)))),
        1 => Some(Fault::ResetBeforeHeaders),
        _ => None,
    };
    let simulator = provider().fault_when(fault).build();
    let facts = run(manager(&simulator).max_concurrent(4), 8, Duration::from_millis(1_100)).await.facts();
    assert_eq!(facts.succeeded, 2, "{facts:?}");
    let counted = facts.perhaps_billed.count + facts.not_sent + facts.succeeded + facts.unwritten.count;
    assert_eq!(counted, 8, "{facts:?}");
    assert!(!facts.perhaps_billed.ids.contains(&String::from("r0")), "a refusal is not billed: {facts:?}");
    assert!(facts.perhaps_billed.ids.contains(&String::from("r1")), "what broke may be: {facts:?}");
    assert_eq!(facts.perhaps_billed.count, 5, "with the four in flight: {facts:?}");
}

/// Requests that are done take no memory, however many they are.
#[tokio::test(start_paused = true)]
async fn nothing_is_kept_of_what_is_done() {
    let simulator = provider().fault(Refusal::status(400), 0.5).build();
    let builder = manager(&simulator).stop_after_equal_refusals(None);
    let summary = run(builder, 2_000, s(1_000)).await;
    assert_eq!(summary.succeeded + summary.failed, 2_000);
    assert_eq!((summary.failures.len(), summary.slowest.len()), (1, SLOWEST));
    let left = summary.watch.read(crate::watch::Counts::inside);
    assert_eq!(left, 0);
}
