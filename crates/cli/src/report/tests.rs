//! Pages of runs of all sizes, on the paused clock.

use std::time::Duration;

use futures::StreamExt;
use outbound::{Client, Origin, Request, RequestManager, RequestManagerBuilder};
use outbound_simulator::{Builder, Latency, Refusal, Simulator, Trouble};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::*;
use crate::{summary::Summary, watch::Watch};

/// An id that is markup wherever it is not escaped.
const ID: &str = "</title><script>alert('1')</script>\"&";

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn provider() -> Builder {
    Simulator::builder().seed(3).latency(Latency::log_normal(Duration::from_millis(800), s(8)))
}

fn manager(simulator: &Simulator) -> RequestManagerBuilder {
    let dialled = simulator.clone();
    let client = Client::builder().connector(move |_: &Origin| {
        let dialled = dialled.clone();
        async move { dialled.dial().await }
    });
    RequestManager::builder().base_url("http://provider.test/v1").key("k").client(client).seed(7)
}

/// The page of a run, and what it came to.
async fn page_of(builder: RequestManagerBuilder, requests: usize) -> (String, Facts) {
    let watch = Watch::new(true);
    let manager = builder.observer(watch.clone()).build().expect("a manager");
    let mut summary = Summary::new(&watch);
    summary.asked = Some(requests as u64);
    summary.output = String::from("out<b>.jsonl");
    let request = |id: usize| {
        let messages = json!([{"role": "user", "content": format!("Hello {id}.")}]);
        let body = json!({"model": "m<i>", "messages": messages, "max_tokens": 50});
        Request::chat(&body).id(format!("{ID}{id}"))
    };
    let mut outcomes = manager.batch((0..requests).map(request));
    let mut looks = interval(Duration::from_millis(250));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = looks.tick() => watch.look(&manager.snapshot()),
            outcome = StreamExt::next(&mut outcomes) => match outcome {
                Some(outcome) => summary.add(&outcome),
                None => break,
            },
        }
    }
    watch.look(&manager.snapshot());
    summary.wall = watch.read(|counts| counts.began.elapsed());
    let facts = summary.facts();
    (watch.read(|counts| page(&facts, counts)), facts)
}

/// Tags that have no end.
const VOID: [&str; 2] = ["meta", "!doctype"];

/// Each tag has its end, in order; no attribute is open; no number is none.
fn is_sound(page: &str) {
    assert!(!page.contains("NaN") && !page.contains("inf\""), "a number that is none");
    assert!(
        !page.contains("<script") && !page.contains("<b>.jsonl") && !page.contains("m<i>"),
        "not escaped"
    );
    assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("url("), "from elsewhere");
    assert!(page.len() < 400_000, "{} bytes", page.len());
    let mut open = Vec::new();
    for tag in page.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("an end of the tag");
        assert!(tag.matches('"').count().is_multiple_of(2), "{tag}");
        let name = tag.trim_start_matches('/').split([' ', '/']).next().expect("a name");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_of_no_request_says_so() {
    let simulator = provider().build();
    let (page, facts) = page_of(manager(&simulator), 0).await;
    is_sound(&page);
    assert_eq!((facts.succeeded, facts.latency, facts.efficiency), (0, None, None));
    assert_eq!(page.matches("No request was sent.").count(), 3);
    assert!(
        page.contains("Nothing failed.") && page.contains("No request waited.") && !page.contains("<svg")
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_of_one_request_has_its_charts() {
    let simulator = provider().build();
    let (page, facts) = page_of(manager(&simulator), 1).await;
    is_sound(&page);
    assert_eq!(facts.succeeded, 1);
    assert_eq!(page.matches("<svg").count(), 5, "throughput, tokens, in flight, latency twice");
    assert!(
        page.contains("&lt;/title&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;0"),
        "the slowest"
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_of_nothing_but_failures_names_them() {
    let simulator = provider().fault(Refusal::status(400), 0.5).fault(Refusal::status(500), 1.0).build();
    let builder = manager(&simulator).max_attempts(2).stop_after_equal_refusals(None);
    let (page, facts) = page_of(builder, 40).await;
    is_sound(&page);
    assert_eq!((facts.succeeded, facts.failed), (0, 40));
    assert!(page.contains("rejected: requests") && page.contains("server_error: attempts"), "{facts:?}");
    assert!(page.contains("No answer came.") && page.contains("<h2>Failures</h2>"));
}

#[tokio::test(start_paused = true)]
async fn a_run_of_hours_is_no_larger_and_adds_up() {
    let simulator = provider().trouble(Trouble::Refused, s(3_000)..s(4_200)).build();
    let requests = 6_000;
    let (page, facts) = page_of(manager(&simulator).requests_per_minute(40), requests).await;
    is_sound(&page);
    assert_eq!(facts.succeeded, requests as u64);
    assert!(facts.wall_s > 9_000.0, "{}", facts.wall_s);
    assert!(page.contains(">2 h<") || page.contains(">120 min<"), "ticks of hours");
    let waits: Vec<_> = facts.waits.iter().map(|wait| wait.reason).collect();
    assert!(waits.contains(&"limits") && waits.contains(&"outage"), "{waits:?}");
    let efficiency = facts.efficiency.expect("a limit is known");
    // 6,000 at 40 a minute are 9,000 s, and the outage 1,200 s more.
    assert!(
        (efficiency.best_s - 9_000.0).abs() < 100.0 && (0.86..0.9).contains(&efficiency.e),
        "{efficiency:?}"
    );
    let outage = facts.waits.iter().find(|wait| wait.reason == "outage").expect("it waited");
    assert!((outage.share - 0.118).abs() < 0.01, "{outage:?}");
}
