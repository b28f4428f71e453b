//! What a run prints while it works; and a standard error that is closed, full or not read.
#![cfg(unix)]

use std::{
    io::{BufRead, BufReader, Read},
    process::Command,
    time::Duration,
};

use outbound_simulator::{Latency, Simulator};
use serde_json::Value;

use crate::support::{Running, answers, folder, input, outbound, said, text, until};

/// Reads what a run says until a line has all these parts, and ends the run.
fn line_with(mut run: Running, parts: &[&str]) -> String {
    let stderr = run.child().stderr.take().expect("a pipe");
    let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
    let found = lines.find(|line| parts.iter().all(|part| line.contains(part)));
    found.unwrap_or_else(|| panic!("it never said {parts:?}"))
}

#[tokio::test]
async fn a_wait_for_a_limit_is_named_as_it_begins() {
    let simulator = Simulator::builder().build();
    let address = simulator.listen("127.0.0.1:0").await.expect("a port");
    let folder = folder();
    let input = input(&folder, 5, &[]);
    let base = format!("http://{address}/v1");
    let run = Running::start(outbound(&["run", text(&input), "--base-url", &base, "--rpm", "4"]));
    let line = tokio::task::spawn_blocking(move || line_with(run, &["waiting ", "requests of m"]));
    let line = line.await.expect("it says so");
    // One request is sent at once, and the next 15 s later.
    let seconds: u64 = line
        .split("waiting ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .and_then(|s| s.parse().ok())
        .expect(&line);
    assert!((6..=15).contains(&seconds), "{line}");
    assert!(line.contains(" of 5 done, ") && line.contains(" in flight; waiting "), "{line}");
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_provider_that_is_gone_is_named() {
    let simulator = Simulator::builder().latency(Latency::fixed(Duration::from_millis(50))).build();
    let address = simulator.listen("127.0.0.1:0").await.expect("a port");
    let folder = folder();
    let input = input(&folder, 5_000, &[]);
    let base = format!("http://{address}/v1");
    let run = Running::start(outbound(&[
        "run",
        text(&input),
        "--base-url",
        &base,
        "--rpm",
        "2000",
        "--progress",
        "plain",
    ]));
    until(|| simulator.ledger().answered() >= 8).await;
    simulator.shutdown().await;
    let line = tokio::task::spawn_blocking(move || line_with(run, &["; provider down since ", " UTC ("]));
    let line = line.await.expect("it says so");
    assert!(line.contains("probe"), "{line}");
}

/// The bug this guards against (stderr-closed, stderr-full): a message that cannot be written ends the run.
#[tokio::test]
async fn a_standard_error_that_is_closed_or_full_changes_nothing() {
    let simulator = Simulator::builder().latency(Latency::fixed(Duration::from_millis(300))).build();
    let address = simulator.listen("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{address}/v1");
    for (redirect, how) in [
        ("2>&-", "auto"),
        ("2>&-", "json"),
        ("2>/dev/full", "plain"),
        ("2>/dev/full", "json"),
        ("2>/dev/full", "none"),
    ] {
        if redirect.contains("full") && !std::path::Path::new("/dev/full").exists() {
            continue;
        }
        let folder = folder();
        let input = input(&folder, 40, &[]);
        let output = folder.path().join("out.jsonl");
        let run = outbound(&[
            "run",
            text(&input),
            "-o",
            text(&output),
            "--base-url",
            &base,
            "--concurrency",
            "8",
            "--progress",
            how,
        ]);
        let mut shell = Command::new("sh");
        shell
            .arg("-c")
            .arg(format!("exec \"$0\" \"$@\" {redirect}"))
            .arg(run.get_program())
            .args(run.get_args());
        shell.env_remove("OPENAI_API_KEY").env_remove("http_proxy").env_remove("HTTP_PROXY");
        let status = tokio::task::spawn_blocking(move || shell.status()).await.expect("no panic");
        assert_eq!(status.expect("it runs").code(), Some(0), "{redirect} {how}");
        assert_eq!(answers(&output).len(), 40, "{redirect} {how}");
    }
    simulator.shutdown().await;
}

/// A reader that does not read does not hold up the run.
#[tokio::test]
async fn a_standard_error_that_nobody_reads_holds_nobody_up() {
    let simulator = Simulator::builder().latency(Latency::fixed(Duration::from_millis(200))).build();
    let address = simulator.listen("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{address}/v1");
    let folder = folder();
    let input = input(&folder, 40, &[]);
    let output = folder.path().join("out.jsonl");
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    // The pipe is filled, so that the next message has no room.
    let mut full = writer.try_clone().expect("another handle");
    let filled = std::thread::spawn(move || {
        let _ = std::io::Write::write_all(&mut full, &vec![b'x'; 1 << 20]);
    });
    let arguments = [
        "run",
        text(&input),
        "-o",
        text(&output),
        "--base-url",
        &base,
        "--concurrency",
        "8",
        "--progress",
        "json",
    ];
    let mut child = outbound(&arguments).stderr(writer).spawn().expect("it starts");
    let status = tokio::task::spawn_blocking(move || child.wait()).await.expect("no panic").expect("it ends");
    assert_eq!(status.code(), Some(0));
    assert_eq!(answers(&output).len(), 40);
    let mut rest = Vec::new();
    std::thread::spawn(move || reader.read_to_end(&mut rest));
    filled.join().expect("no panic");
    simulator.shutdown().await;
}

#[test]
fn json_is_an_object_a_line() {
    let folder = folder();
    let input = input(&folder, 100, &[]);
    let arguments = ["run", "--simulate", text(&input), "--rpm", "2000", "--progress", "json"];
    let run = outbound(&arguments).output().expect("it runs");
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let said = said(&run);
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let events: Vec<_> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
    assert_eq!(events.len(), lines.len(), "{said}");
    assert!(events.contains(&"message") && events.contains(&"progress"), "{events:?}");
    assert_eq!(events.last(), Some(&"summary"));
    assert_eq!(lines.last().map(|line| line["succeeded"].clone()), Some(100.into()));
    // An error is an object, too.
    let run =
        outbound(&["run", "no-such.jsonl", "--simulate", "--progress", "json"]).output().expect("it runs");
    let line: Value = serde_json::from_slice(&run.stderr).expect("an object");
    assert_eq!((run.status.code(), line["event"].as_str()), (Some(3), Some("message")));
}

#[test]
fn none_says_only_the_end_and_quiet_nothing() {
    let folder = folder();
    let input = input(&folder, 20, &[]);
    let run = outbound(&["run", "--simulate", text(&input), "--progress", "none"]).output().expect("it runs");
    assert!(said(&run).contains("20 succeeded") && !said(&run).contains("in flight,"), "{}", said(&run));
    let run = outbound(&["run", "--simulate", text(&input), "-q"]).output().expect("it runs");
    assert_eq!((run.status.code(), said(&run).as_str()), (Some(0), ""));
}
