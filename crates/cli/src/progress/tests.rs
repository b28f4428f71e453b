//! What is printed at given moments. The provider is in memory, and the clock is paused.

use futures::StreamExt;
use outbound::{Client, ModelLimits, Origin, Price, Prices, Request, RequestManagerBuilder};
use outbound_simulator::{Builder, Latency, Refusal, Simulator, Trouble};
use serde_json::json;

use super::*;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn provider() -> Builder {
    Simulator::builder().seed(3).latency(Latency::fixed(Duration::from_millis(500)))
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
    let messages = json!([{"role": "user", "content": "Hello."}]);
    Request::chat(&json!({"model": "m", "messages": messages, "max_tokens": 50})).id(format!("r{id}"))
}

/// A run in the background.
struct Run {
    manager: RequestManager,
    watch: Watch,
    requests: u64,
}

impl Run {
    fn start(builder: RequestManagerBuilder, requests: usize) -> Self {
        let watch = Watch::new(true);
        let manager = builder.observer(watch.clone()).build().expect("a manager");
        let (watched, batched) = (watch.clone(), manager.clone());
        tokio::spawn(async move {
            let mut outcomes = batched.batch((0..requests).map(request));
            while let Some(outcome) = StreamExt::next(&mut outcomes).await {
                watched.handed_over(&outcome);
            }
        });
        Self { manager, watch, requests: requests as u64 }
    }

    async fn after(&self, time: Duration) -> Status {
        tokio::time::sleep(time).await;
        self.now(false)
    }

    fn now(&self, interrupted: bool) -> Status {
        let snapshot = self.manager.snapshot();
        self.watch.look(&snapshot);
        self.watch.read(|counts| Status::of(counts, &snapshot, Some(self.requests), interrupted))
    }
}

fn text(status: &Status) -> &str {
    status.why.as_ref().map(|why| why.text.as_str()).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_named_with_the_time_until_it_has_room() {
    let simulator = provider().build();
    let run = Run::start(manager(&simulator).requests_per_minute(6), 5);
    let status = run.after(s(2)).await;
    insta::assert_snapshot!(text(&status), @"waiting 8 s for the limit on requests of m");
    assert_eq!((status.done, status.of, status.in_flight), (1, Some(5), 0));
    assert_eq!(status.requests_per_minute_limit, Some(6.0));
    insta::assert_snapshot!(text(&run.after(s(5)).await), @"waiting 3 s for the limit on requests of m");

    let run = Run::start(manager(&simulator), 5);
    run.manager.set_limits(None, &ModelLimits::new().output_tokens_per_minute(60));
    let status = run.after(s(2)).await;
    let why = status.why.as_ref().expect("a reason");
    assert!(
        why.text.starts_with("waiting ") && why.text.ends_with(" s for the limit on output tokens of m"),
        "{why:?}"
    );
    assert!(why.is_long() && why.seconds > Some(5.0), "{why:?}");
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_models_share_has_no_model() {
    let simulator = provider().build();
    let run = Run::start(manager(&simulator).requests_per_minute(6), 3);
    let other = run.manager.clone();
    tokio::spawn(async move {
        other.send(Request::chat(&json!({"model": "n", "messages": []})).id("n")).await;
    });
    let status = run.after(s(2)).await;
    assert!(text(&status).starts_with("waiting 8 s for the limit on requests"), "{status:?}");
    assert!(!text(&status).contains(" of "), "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_gone_is_named_with_the_next_probe() {
    let simulator = provider().trouble(Trouble::Refused, s(3)..s(603)).build();
    let run = Run::start(manager(&simulator).max_concurrent(4), 100);
    insta::assert_snapshot!(text(&run.after(s(2)).await), @"at the concurrency limit of 4");
    let mut seen = Vec::new();
    for _ in 0..40 {
        let status = run.after(s(5)).await;
        assert!(text(&status).starts_with("provider down since "), "{status:?}");
        assert!(text(&status).contains(" UTC ("), "{status:?}");
        assert_eq!(status.to_go_s, None, "nobody knows");
        seen.extend(status.why.and_then(|why| why.seconds));
    }
    assert!(seen.iter().any(|next| *next > 5.0), "{seen:?}");
    assert!(text(&run.now(false)).contains(", next probe in "), "{:?}", run.now(false));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_only_fails_is_named() {
    let simulator = provider().fault_during(Refusal::status(500), s(3)..s(603)).build();
    let run = Run::start(manager(&simulator).max_concurrent(4), 100);
    let status = run.after(s(63)).await;
    assert!(text(&status).starts_with("provider down for m since "), "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pause_after_a_refusal_is_named() {
    let refusal = Refusal::rate_limited().retry_after(s(30));
    let simulator = provider().fault_during(refusal, s(0)..s(1)).build();
    let run = Run::start(manager(&simulator).max_concurrent(4), 20);
    let status = run.after(Duration::from_millis(10_500)).await;
    insta::assert_snapshot!(text(&status), @"pause of 20 s after a refusal (429) for model m");
    assert_eq!((status.refused, status.in_flight, status.retries), (4, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_our_own_and_an_end_are_named() {
    let simulator = provider().build();
    let run = Run::start(manager(&simulator).max_concurrent(4), 100);
    tokio::time::sleep(s(1)).await;
    assert_eq!(run.now(true).in_flight, 4);
    insta::assert_snapshot!(text(&run.now(true)), @"finishing 4 in flight; Ctrl-C again stops at once");
    run.manager.pause();
    insta::assert_snapshot!(text(&run.after(s(2)).await), @"paused");
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_held_says_what_the_provider_said() {
    let simulator = provider().fault(Refusal::quota_spent(), 1.0).latency(Latency::fixed(s(3))).build();
    let run = Run::start(manager(&simulator).max_concurrent(1), 20);
    let status = run.after(s(4)).await;
    let said = text(&status);
    assert!(
        said.starts_with("account on hold: ") && said.ends_with("; one more request is sent to check that"),
        "{status:?}"
    );
    assert!(said.to_lowercase().contains("quota"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn silence_is_named() {
    let simulator = provider().latency(Latency::fixed(s(30))).build();
    let run = Run::start(manager(&simulator).max_concurrent(4), 4);
    assert_eq!(text(&run.after(s(4)).await), "");
    insta::assert_snapshot!(text(&run.after(s(8)).await), @"4 in flight, and none has ended for 12 s");
}

#[tokio::test(start_paused = true)]
async fn the_time_to_go_is_that_of_the_last_minute() {
    let simulator = provider().build();
    let run = Run::start(manager(&simulator).requests_per_minute(60), 600);
    assert_eq!(run.after(s(1)).await.to_go_s, None, "too early");
    let status = run.after(s(119)).await;
    let to_go = status.to_go_s.expect("known by now");
    assert!((to_go - 480.0).abs() < 15.0, "{to_go}");
    let rate = status.requests_per_minute.expect("known by now");
    assert!((rate - 60.0).abs() < 2.0, "{rate}");
    run.manager.set_limits(None, &ModelLimits::new().requests_per_minute(6));
    let status = run.after(s(120)).await;
    let slower = status.to_go_s.expect("known still");
    assert!(slower > 3_000.0, "at the new pace: {slower}");
    run.manager.set_limits(None, &ModelLimits::new().requests_per_minute(1));
    let status = run.after(s(15)).await;
    let wait = status.why.as_ref().and_then(|why| why.seconds).expect("a wait");
    assert!(wait > 20.0 && status.to_go_s >= Some(wait), "{status:?}");
    let line = words::line(&status);
    assert!(
        line.starts_with("[4m 15s] ") && line.contains(" of 600 done, ") && line.contains(" to go; "),
        "{line}"
    );
}

#[tokio::test(start_paused = true)]
async fn lines_come_every_ten_seconds_and_at_once_for_a_long_wait() {
    let simulator = provider().trouble(Trouble::Refused, s(12)..s(42)).build();
    let run = Run::start(manager(&simulator).requests_per_minute(120), 1_000);
    let mut lines = Lines::new(How::Lines);
    let began = Instant::now();
    let mut said = Vec::new();
    for _ in 0..200 {
        let status = run.after(LOOK).await;
        if let Some(line) = lines.next(&status, Instant::now()) {
            said.push((began.elapsed().as_secs_f64(), line));
        }
    }
    assert_eq!(said[0].0, 10.0);
    assert!(said[1].0 < 14.0 && said[1].1.contains("; provider down since "), "{said:?}");
    assert!(said.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 1.0), "{said:?}");
    assert!((5..=8).contains(&said.len()), "{said:?}");
    insta::assert_snapshot!("plain_lines", shown(&said));
}

/// The lines, each with the time at which it is printed. The time of day is that of the machine, and replaced.
fn shown(said: &[(f64, String)]) -> String {
    let line = |(at, line): &(f64, String)| {
        let line = match line.split_once(" since ") {
            Some((before, after)) => format!("{before} since HH:MM{}", &after["HH:MM".len()..]),
            None => line.clone(),
        };
        format!("{at:>5.2} s  {line}\n")
    };
    said.iter().map(line).collect()
}

#[tokio::test(start_paused = true)]
async fn a_line_of_json_has_every_field() {
    let simulator = provider().build();
    let run = Run::start(manager(&simulator).requests_per_minute(6), 5);
    let status = run.after(s(2)).await;
    let mut lines = Lines::new(How::Json);
    let line = lines.next(&status, Instant::now()).expect("a line each second");
    let json: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    for field in [
        "event",
        "elapsed_s",
        "done",
        "of",
        "failed",
        "in_flight",
        "retries",
        "refused",
        "requests_per_minute",
        "requests_per_minute_limit",
        "tokens_per_minute",
        "tokens_per_minute_limit",
        "input_tokens",
        "output_tokens",
        "cost",
        "cost_projected",
        "to_go_s",
        "why",
    ] {
        assert!(json.get(field).is_some(), "{field}");
    }
    assert_eq!(json.as_object().map(serde_json::Map::len), Some(18));
    assert_eq!(json["why"]["reason"], "limits");
    assert_eq!(json["why"]["seconds"], 8.0);
    assert_eq!(lines.next(&status, Instant::now()), None);
}

#[tokio::test(start_paused = true)]
async fn a_screen_is_three_lines() {
    let simulator = provider().build();
    let run = Run::start(manager(&simulator).requests_per_minute(6), 5);
    let status = run.after(s(22)).await;
    insta::assert_snapshot!("screen", words::screen(&status).join("\n"));
}

#[tokio::test(start_paused = true)]
async fn the_cost_is_told_and_projected_where_prices_are_known() {
    let simulator = provider().output_tokens(10..=10).build();
    let prices = Prices::new().model("m", Price::per_million(0.0, 10_000.0));
    let run = Run::start(manager(&simulator).requests_per_minute(6).prices(prices), 5);
    let status = run.after(s(12)).await;
    assert_eq!((status.done, status.cost), (2, Some(0.2)), "ten tokens of a cent each");
    assert_eq!(status.cost_projected, Some(0.5));
    assert!(words::line(&status).contains(", $0.20 of about $0.50, "), "{}", words::line(&status));
    let unknown = Run::start(manager(&simulator).requests_per_minute(6), 5).after(s(2)).await;
    assert_eq!((unknown.cost, unknown.cost_projected), (None, None));
}
