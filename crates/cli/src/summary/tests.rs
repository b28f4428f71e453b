//! What the end says, against a provider in memory, on the paused clock.

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

/// Runs so many requests for so long, and cuts off what is under way then.
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
    summary.go_on = Some(String::from("outbound run in.jsonl --resume"));
    let facts = summary.facts();
    let tokens = (facts.input_tokens, facts.output_tokens);
    assert_eq!(tokens.1, 50);
    let cost = tokens.0 as f64 * 0.001 + 0.5;
    let expected = format!(
        "5 succeeded, 1 failed, 4 done before in 3.0 s\n  \
         rejected: 1; first r2: status 400: bad request (invalid_request_error): The request is not valid.\n\
         attempts 6, retries among them 0, refused for the rate 0; possible duplicates 0\n\
         tokens {} in, 50 out; cost ${cost:.2}\n\
         latency p50 1.00 s, p90 1.00 s, p99 1.00 s, longest 1.00 s\n  \
         slowest: r0 1.00 s, r1 1.00 s, r3 1.00 s, r4 1.00 s, r5 1.00 s\n\
         waited for the limits: 4 s summed over all requests, at least one in 67 % of the time\n  \
         the first in line waited for places in flight: 67 % of the time\n\
         efficiency (E) 0.83: the best time under the known limits is 2.5 s, for 2 in flight; it took 3.0 s\n\
         6 lines written to out.jsonl, 1 of them with an error\n\
         to go on: outbound run in.jsonl --resume",
        tokens.0
    );
    assert_eq!(facts.to_string(), expected);
}

#[tokio::test(start_paused = true)]
async fn what_was_cut_off_is_told_from_what_was_not_sent() {
    // Of eight: two are answered, one is refused and waits for its next attempt, and so does one whose connection broke.
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

/// A million requests take no more memory than a few: what grows with them is not kept.
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
