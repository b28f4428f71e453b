//! Crashes at random moments, and full disks: no answer is lost, none is written twice, and answers to requests that were
//! sent twice are marked.
#![cfg(unix)]

use std::{
    collections::BTreeMap,
    process::{self, Command},
    time::Duration,
};

use outbound_simulator::{Latency, Outcome, Refusal, Simulator};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::support::{Running, answers, folder, input, outbound, said, text};

const WIDTH: usize = 8;

/// The number of kills in all. `OUTBOUND_KILLS=1000` makes it a long test.
fn kills() -> usize {
    std::env::var("OUTBOUND_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(40)
}

/// A server that refuses some requests, with varying latencies.
fn server(seed: u64) -> Simulator {
    Simulator::builder()
        .seed(seed)
        .latency(Latency::log_normal(Duration::from_millis(8), Duration::from_millis(40)))
        .fault(Refusal::rate_limited().retry_after_ms(Duration::from_millis(20)), 0.05)
        .fault(Refusal::status(503).retry_after_ms(Duration::from_millis(5)), 0.03)
        .build()
}

/// The number of billed requests for each line. A line is identified by its idempotency key, which a run that goes on uses
/// again.
fn sends_by_key(simulator: &Simulator) -> BTreeMap<String, usize> {
    let mut sends = BTreeMap::new();
    for entry in simulator.ledger().entries() {
        // A refused request is not billed.
        if !matches!(entry.outcome, Outcome::Refused(_) | Outcome::OverQuota(_)) {
            *sends.entry(entry.seen.idempotency_key.clone().expect("a key")).or_default() += 1;
        }
    }
    sends
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_points_it_loses_and_doubles_nothing() {
    let mut random = StdRng::seed_from_u64(14);
    let (mut killed, mut round) = (0, 0);
    while killed < kills() {
        round += 1;
        let simulator = server(round);
        let address = simulator.listen("127.0.0.1:0").await.expect("a port");
        let (folder, lines) = (folder(), 400);
        let (input, output) = (input(&folder, lines, &[]), folder.path().join("out.jsonl"));
        let base = format!("http://{address}/v1");
        let fsync = ["batch", "always", "off"][random.random_range(0..3)];
        let width = WIDTH.to_string();
        let arguments = [
            "run",
            text(&input),
            "-o",
            text(&output),
            "--base-url",
            &base,
            "--concurrency",
            &width,
            "--fsync",
            fsync,
            "-q",
        ];
        let mut kills = 0;
        loop {
            let mut child = Running::start(outbound(&arguments));
            let until = Duration::from_micros(random.random_range(1_000..250_000));
            tokio::time::sleep(until).await;
            if child.child().try_wait().expect("it can be asked").is_some() {
                let run = child.end();
                assert_eq!(run.status.code(), Some(0), "{}", said(&run));
                break;
            }
            child.kill();
            kills += 1;
        }
        killed += kills;
        let answers = answers(&output);
        let flagged = |id: &str| {
            answers
                .iter()
                .any(|answer| answer["custom_id"] == id && answer["outbound"]["possible_duplicate"] == true)
        };
        let ids: BTreeMap<_, _> =
            answers.iter().map(|answer| (answer["custom_id"].to_string(), ())).collect();
        assert_eq!((answers.len(), ids.len()), (lines, lines), "round {round}: none lost, none doubled");
        let sends = sends_by_key(&simulator);
        let doubled = sends.values().filter(|sends| **sends > 1).count();
        let extra = sends.values().sum::<usize>() - lines;
        let flags = (0..lines).filter(|id| flagged(&format!("r{id}"))).count();
        assert_eq!(sends.len(), lines, "round {round}: the keys repeat");
        assert!(doubled <= flags, "round {round}: {doubled} were answered twice, {flags} say so");
        assert!(extra <= kills * (WIDTH + 1), "round {round}: {extra} answered again after {kills} kills");
        simulator.shutdown().await;
    }
}

/// Runs the command with a limit on the size of files. It acts like a full disk: a write fails in the middle of a line.
fn with_room(blocks: usize, arguments: &[&str]) -> process::Output {
    let mut command = Command::new("sh");
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_outbound")]).args(arguments);
    tokio::task::block_in_place(|| command.output().expect("it runs"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_stops_the_run_and_keeps_what_is_there() {
    let simulator = Simulator::builder().latency(Latency::fixed(Duration::from_millis(10))).build();
    let address = simulator.listen("127.0.0.1:0").await.expect("a port");
    let (folder, lines) = (folder(), 400);
    let (input, output) = (input(&folder, lines, &[]), folder.path().join("out.jsonl"));
    let base = format!("http://{address}/v1");
    let width = WIDTH.to_string();
    let arguments = ["run", text(&input), "-o", text(&output), "--base-url", &base, "--concurrency", &width];
    // In blocks of 512 bytes. An answer takes about one block.
    let mut before = 0;
    for blocks in [1, 60, 200] {
        let run = with_room(blocks, &arguments);
        assert_eq!(run.status.code(), Some(6), "{}", said(&run));
        assert!(said(&run).contains("too large") && said(&run).contains("to go on: "), "{}", said(&run));
        let bytes = std::fs::read(&output).expect("the output");
        assert!(bytes.is_empty() || bytes.ends_with(b"\n"), "it ends with a whole line");
        let now = answers(&output).len();
        assert!(now >= before && bytes.len() <= blocks * 512, "{now} lines after {before}");
        before = now;
    }
    assert!(before > 50, "{before} lines are kept");
    let run = with_room(1_000_000, &arguments);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert_eq!(answers(&output).len(), lines);
    let answered: usize = sends_by_key(&simulator).values().sum();
    // When the disk is full, `WIDTH` requests are in flight, and as many can be sent before the run knows it.
    assert!(answered - lines <= 3 * 2 * WIDTH, "{answered} answered");
    simulator.shutdown().await;
}
