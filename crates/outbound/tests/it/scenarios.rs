//! The scenarios of the simulator, each run as a batch on the paused clock.

use std::{collections::BTreeMap, path::Path};

use futures::StreamExt;
use outbound::{Request, RequestManager};
use outbound_simulator::{Scenario, Simulator};
use serde_json::json;
use tokio::time::Instant;

use crate::stack::{client, s};

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../simulator/scenarios"))
}

fn manager(scenario: &Scenario, simulator: &Simulator) -> RequestManager {
    let workload = scenario.workload();
    let mut manager = RequestManager::builder()
        .provider(outbound::Provider::openai_compatible())
        .base_url("http://provider.test/v1")
        .client(client(simulator))
        .seed(7)
        .wall_clock(std::time::SystemTime::UNIX_EPOCH + s(1_767_225_600));
    if let Some(key) = &workload.key {
        manager = manager.key(key.as_str());
    }
    if let Some(most) = workload.concurrency {
        manager = manager.max_concurrent(most);
    }
    if let Some(limit) = workload.requests_per_minute {
        manager = manager.requests_per_minute(limit);
    }
    if let Some(limit) = workload.tokens_per_minute {
        manager = manager.tokens_per_minute(limit);
    }
    if let Some(time) = workload.deadline {
        manager = manager.deadline(time);
    }
    if let Some(time) = workload.attempt_timeout {
        manager = manager.attempt_timeout(time);
    }
    if let Some(attempts) = workload.max_attempts {
        manager = manager.max_attempts(attempts);
    }
    manager.build().expect("a manager")
}

fn request(scenario: &Scenario, index: usize) -> Request {
    let workload = scenario.workload();
    let model = &workload.models[index % workload.models.len()];
    let content = format!("What is {index} and {index}?");
    Request::chat(&json!({
        "model": model,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": workload.max_tokens,
        "stream": workload.stream,
    }))
}

/// Runs a scenario. Returns what is wrong, one text for each fault.
async fn run(scenario: &Scenario) -> Vec<String> {
    let simulator = scenario.server().build();
    let manager = manager(scenario, &simulator);
    let began = Instant::now();
    let mut batch = manager.batch((0..scenario.workload().requests).map(|index| request(scenario, index)));
    let mut answered = 0;
    let mut failed = BTreeMap::<String, usize>::new();
    let mut possible_duplicates = 0;
    while let Some(outcome) = batch.next().await {
        possible_duplicates += usize::from(outcome.possible_duplicate);
        match outcome.error_kind() {
            None => answered += 1,
            Some(kind) => *failed.entry(kind.as_str().to_owned()).or_default() += 1,
        }
    }
    let took = began.elapsed().as_secs_f64();
    let stopped = batch.stopped().map(|stopped| stopped.kind.as_str().to_owned());
    let rest = batch.into_rest();
    let unread = match rest.source {
        Some(source) => source.count().await,
        None => 0,
    };
    let returned = rest.requests.len() + unread;
    let ledger = simulator.ledger();
    let refused = ledger.refused();
    let expect = scenario.expect();
    let expected = expect.answered;
    let mut wrong = Vec::new();
    let mut check = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    check(answered == expected, format!("answered: {answered}, expected {expected}"));
    let expected: BTreeMap<_, _> = expect.failed.iter().filter(|(_, count)| **count > 0).collect();
    check(
        failed.iter().collect::<BTreeMap<_, _>>() == expected,
        format!("failed: {failed:?}, expected {expected:?}"),
    );
    check(returned == expect.returned, format!("returned: {returned}, expected {}", expect.returned));
    check(stopped == expect.stopped, format!("stopped: {stopped:?}, expected {:?}", expect.stopped));
    let mut at_most = |name: &str, is: usize, most: Option<usize>| {
        check(most.is_none_or(|most| is <= most), format!("{name}: {is}, expected at most {most:?}"));
    };
    at_most("sends", ledger.sends(), expect.sends_at_most);
    at_most("refused", refused, expect.refused_at_most);
    at_most("at once", ledger.peak_concurrency(), expect.at_once_at_most);
    at_most("billed twice", ledger.billed_twice(), Some(expect.billed_twice_at_most));
    at_most("possible duplicates", possible_duplicates, Some(expect.possible_duplicates_at_most));
    at_most(
        "attempts of one request",
        ledger.most_attempts() as usize,
        expect.attempts_at_most.map(|most| most as usize),
    );
    let (least, peak) = (expect.at_once_at_least, ledger.peak_concurrency());
    check(least.is_none_or(|least| peak >= least), format!("at once: {peak}, expected at least {least:?}"));
    let (least, most) = (expect.seconds_at_least, expect.seconds_at_most);
    check(most.is_none_or(|most| took <= most), format!("seconds: {took:.1}, expected at most {most:?}"));
    check(
        least.is_none_or(|least| took >= least),
        format!("seconds: {took:.1}, expected at least {least:?}"),
    );
    manager.shutdown(s(0)).await;
    wrong
}

#[test]
fn all_scenarios_end_as_they_have_to() {
    let mut wrong = Vec::new();
    let mut names: Vec<_> =
        std::fs::read_dir(folder()).expect("the folder").flatten().map(|file| file.path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    names.sort();
    assert!(names.len() >= 30, "{names:?}");
    for path in names {
        let text = std::fs::read_to_string(&path).expect("a file");
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let scenario = Scenario::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let missed = runtime.expect("a runtime").block_on(run(&scenario));
        wrong.extend(missed.into_iter().map(|missed| format!("{name}: {missed}")));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The public incidents that have a name.
const INCIDENTS: &[&str] = &[
    "stall-mid-stream",
    "stall-before-first",
    "silent-truncation",
    "error-inside-200",
    "comment-keepalive",
    "stale-socket",
    "nat-silence",
    "pool-starvation",
    "hidden-cap",
    "herd-after-429",
    "one-worker-learns",
    "retry-after-ignored",
    "retry-after-absurd",
    "rate-limit-is-not-failure",
    "quota-spent",
    "long-overload",
    "retry-product",
    "nonretryable-retried",
    "duplicate-billing",
    "crash-mid-batch",
    "resume-drift",
    "one-failure-kills-batch",
    "memory-grows",
    "slot-held-in-backoff",
    "head-of-line",
    "impossible-request",
    "estimate-never-settled",
    "key-in-logs",
    "key-to-stranger",
    "ctrl-c",
    "disk-full",
    "server-restarts",
    "strict-json-rebuy",
    "null-completion",
    "limit-per-second",
    "daily-limit-soon-free",
    "one-model-limited",
    "parallel-limit",
    "refusal-without-end",
    "process-stopped",
    "slow-consumer",
    "stderr-gone",
    "dead-http2",
    "closes-early",
];

#[test]
fn each_incident_is_a_scenario_or_is_said_to_be_tested_elsewhere() {
    let page = std::fs::read_to_string(folder().join("README.md")).expect("a page");
    let elsewhere: Vec<_> = page.split(['|', ',']).map(str::trim).collect();
    for id in INCIDENTS {
        let is_a_file = folder().join(format!("{id}.toml")).exists();
        assert!(
            is_a_file != elsewhere.contains(id),
            "{id}: a file {is_a_file}, and on the page it is the same"
        );
    }
}
