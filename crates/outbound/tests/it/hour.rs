//! An hour of quota, twice, on the paused clock.

use std::time::{Duration, SystemTime};

use outbound_simulator::{Fault, Latency, Refusal};
use tokio::time::Instant;

use crate::stack::{all_succeeded, manager, ms, provider, run, s};

/// 1,800 requests at 30 a minute take an hour. There are faults of every sort.
async fn an_hour() -> (u64, usize, Duration) {
    let simulator = provider()
        .requests_per_minute(30)
        .tokens_per_minute(20_000)
        .burst(s(10))
        .latency(Latency::log_normal(ms(800), s(8)).max(s(12)))
        .fault(Refusal::status(500), 0.01)
        .fault(Refusal::status(503).retry_after(s(2)), 0.005)
        .fault(Fault::ResetBeforeHeaders, 0.003)
        .fault(Fault::Silence, 0.002)
        .fault_during(Refusal::status(529), s(600)..s(605))
        .build();
    let manager = manager(&simulator).requests_per_minute(30).tokens_per_minute(20_000);
    let manager =
        manager.attempt_timeout(s(30)).max_concurrent(16).deadline(s(86_400)).build().expect("a manager");
    let started = Instant::now();
    let outcomes = run(&manager, 1_800).await;
    all_succeeded(&outcomes);
    assert_eq!(simulator.ledger().refused(), 0, "configured limits are kept");
    (simulator.ledger().digest(), simulator.ledger().sends(), started.elapsed())
}

#[test]
fn an_hour_of_quota_twice_to_the_same_ledger() {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(an_hour())
    };
    let began = SystemTime::now();
    let (first, second) = (run(), run());
    assert_eq!(first, second, "one seed, one ledger");
    let (_, sends, virtual_time) = first;
    assert!((1_800..1_900).contains(&sends), "{sends} sends");
    assert!(virtual_time > s(3_500) && virtual_time < s(3_900), "{virtual_time:?}");
    // A loose bound. The goal is two seconds on an idle machine.
    let took = began.elapsed().unwrap_or_default();
    assert!(took < s(90), "{took:?} for two hours");
}
