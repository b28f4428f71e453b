//! The pages of runs of all sizes. The clock is paused.

use std::time::Duration;

use futures::StreamExt;
use outbound::{Client, Origin, Request, RequestManager, RequestManagerBuilder};
use outbound_simulator::{Builder, Latency, Refusal, Simulator, Trouble};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::*;
use crate::{summary::Summary, watch::Watch};

/// An id that becomes markup wherever it is not escaped.
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

/// The page of a run, and its summary.
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

/// The text of a page as a reader sees it, one line for each element.
fn text_of(page: &str) -> String {
    let (head, body) = page.split_once("</style>").expect("a style");
    let title =
        head.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>")).expect("a title").0;
    let mut text = format!("title: {title}\n");
    let mut rest = body;
    while let Some((before, after)) = rest.split_once('<') {
        let said = before.split_whitespace().collect::<Vec<_>>().join(" ");
        if !said.is_empty() {
            text += &(said + "\n");
        }
        // The tooltips of the charts are left out: a browser shows them only under the pointer.
        let after = match after.strip_prefix("g class=\"hover\">") {
            Some(hover) => hover.split_once("</g>").expect("its end").1,
            None => after.split_once('>').expect("the end of a tag").1,
        };
        rest = after;
    }
    text
}

#[tokio::test(start_paused = true)]
async fn the_text_of_a_page() {
    let fault = |seen: &outbound_simulator::Seen| match seen.sequence {
        2 => Some(Refusal::status(400).into()),
        4 => Some(Refusal::rate_limited().retry_after(s(2)).into()),
        _ => None,
    };
    let simulator = Simulator::builder().seed(3).latency(Latency::fixed(s(1))).output_tokens(10..=10);
    let simulator = simulator.fault_when(fault).build();
    let builder = manager(&simulator).max_concurrent(2).requests_per_minute(60);
    let (page, _) = page_of(builder, 8).await;
    is_sound(&page);
    insta::assert_snapshot!("page", text_of(&page));
}

/// Tags without an end tag.
const VOID: [&str; 2] = ["meta", "!doctype"];

/// Checks that each tag has its end tag, attributes are closed, everything is escaped, and no number is missing.
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
    // 6,000 requests at 40 a minute take 9,000 s, and the outage adds 1,200 s.
    assert!(
        (efficiency.best_s - 9_000.0).abs() < 100.0 && (0.86..0.9).contains(&efficiency.e),
        "{efficiency:?}"
    );
    let outage = facts.waits.iter().find(|wait| wait.reason == "outage").expect("it waited");
    assert!((outage.share - 0.118).abs() < 0.01, "{outage:?}");
}
