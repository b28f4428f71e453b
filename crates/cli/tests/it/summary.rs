//! The summary, however the run ends. Its text is a snapshot in `src/summary/tests.rs`.
#![cfg(unix)]

use std::{
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use outbound_simulator::{Latency, Refusal, Seen, Simulator};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    interrupts::interrupt,
    support::{answers, folder, input, line, outbound, said, text},
};

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("a summary")).expect("JSON")
}

/// Runs the command with a simulated provider. Also returns the summary that it wrote.
async fn run(
    simulator: &Simulator,
    folder: &TempDir,
    lines: usize,
    more: &[&str],
    interrupts: usize,
) -> (Output, Value) {
    let address = simulator.listen("127.0.0.1:0").await.expect("a port");
    let input = input(folder, lines, &[]);
    let (output, summary) = (folder.path().join("out.jsonl"), folder.path().join("summary.json"));
    let base = format!("http://{address}/v1");
    let mut arguments = vec!["run", text(&input), "--base-url", &base, "--summary", text(&summary)];
    if !more.contains(&"-o") {
        arguments.extend(["-o", text(&output)]);
    }
    arguments.extend(more);
    let child = outbound(&arguments).stderr(Stdio::piped()).spawn().expect("it starts");
    if interrupts > 0 {
        while simulator.ledger().sends() < 16 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    for _ in 0..interrupts {
        interrupt(&child);
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    let run = tokio::task::spawn_blocking(move || child.wait_with_output()).await.expect("no panic");
    let run = run.expect("it ends");
    let facts = json(&summary);
    simulator.shutdown().await;
    (run, facts)
}

/// Checks that each request is counted exactly once.
fn adds_up(facts: &Value) {
    let of = |name: &str| facts[name].as_u64().or_else(|| facts[name]["count"].as_u64()).expect(name);
    let sum: u64 = ["succeeded", "failed", "not_sent", "perhaps_billed", "unwritten"].map(of).iter().sum();
    assert_eq!(Some(sum), facts["asked"].as_u64(), "{facts}");
}

#[tokio::test]
async fn after_two_interrupts_what_may_be_billed_is_counted_and_named() {
    let simulator = Simulator::builder().latency(Latency::fixed(Duration::from_secs(20))).build();
    let (run, facts) = run(&simulator, &folder(), 40, &["--concurrency", "16"], 2).await;
    assert_eq!(run.status.code(), Some(130));
    let said = said(&run);
    assert!(said.contains("finishing 16 in flight; Ctrl-C again stops at once"), "{said}");
    // Which 16 of the first requests are in flight is not fixed: their tasks run at the same time.
    assert!(said.contains("\n16 may have been billed, and their answers are lost: r"), "{said}");
    assert!(said.contains(" and 11 more\nnot sent: 24\n"), "{said}");
    assert_eq!(facts["perhaps_billed"]["count"], 16);
    assert_eq!(facts["perhaps_billed"]["ids"].as_array().map(Vec::len), Some(5));
    assert_eq!((&facts["succeeded"], &facts["interrupted"]), (&0.into(), &true.into()));
    adds_up(&facts);
}

#[tokio::test]
async fn after_one_interrupt_nothing_is_lost() {
    let simulator = Simulator::builder().latency(Latency::fixed(Duration::from_millis(900))).build();
    let (run, facts) = run(&simulator, &folder(), 60, &["--concurrency", "16"], 1).await;
    assert_eq!(run.status.code(), Some(130));
    assert_eq!(facts["perhaps_billed"]["count"], 0);
    assert_eq!(facts["succeeded"].as_u64(), Some(simulator.ledger().answered() as u64));
    assert!(!said(&run).contains("billed") && said(&run).contains("\nnot sent: "), "{}", said(&run));
    adds_up(&facts);
}

#[tokio::test]
async fn the_figures_are_those_of_the_provider() {
    let fault = |seen: &Seen| match seen.sequence {
        3 => Some(Refusal::rate_limited().retry_after_ms(Duration::from_millis(50)).into()),
        5 => Some(Refusal::status(500).into()),
        7 | 8 => Some(Refusal::status(400).into()),
        _ => None,
    };
    let latency = Latency::fixed(Duration::from_millis(100));
    let simulator = Simulator::builder().latency(latency).fault_when(fault).build();
    let folder = folder();
    let (run, facts) = run(&simulator, &folder, 50, &["--concurrency", "4", "--rpm", "6000"], 0).await;
    assert_eq!(run.status.code(), Some(1));
    let (said, ledger) = (said(&run), simulator.ledger());
    assert_eq!(facts["attempts"].as_u64(), Some(ledger.sends() as u64));
    assert_eq!((&facts["refused"], &facts["retries"]), (&1.into(), &2.into()));
    assert_eq!((&facts["succeeded"], &facts["failed"]), (&48.into(), &2.into()));
    adds_up(&facts);
    let rejected = &facts["failures"]["rejected"];
    assert_eq!(rejected["count"], 2);
    let first = rejected["first_id"].as_str().expect("an id");
    assert!(said.contains(&format!("\n  rejected: 2; first {first}: ")), "{said}");
    assert_eq!(facts["failed_attempts"]["server_error"], 1);
    let tokens = |name: &str| {
        let written = answers(&folder.path().join("out.jsonl"));
        let of = |answer: &Value| answer["outbound"][name].as_u64();
        written.iter().filter_map(of).sum::<u64>()
    };
    assert_eq!(facts["input_tokens"].as_u64(), Some(tokens("input_tokens")));
    assert_eq!(facts["output_tokens"].as_u64(), Some(tokens("output_tokens")));
    let latency = |name: &str| facts["latency"][name].as_f64().expect(name);
    assert!((0.09..0.5).contains(&latency("p50_s")), "{facts}");
    assert!(latency("p50_s") <= latency("p90_s") && latency("p90_s") <= latency("p99_s"));
    assert!(latency("p99_s") <= latency("longest_s") && facts["slowest"].as_array().map(Vec::len) == Some(5));
}

#[tokio::test]
async fn the_best_time_is_that_of_the_places_where_no_limit_is_lower() {
    let simulator = Simulator::builder().latency(Latency::fixed(Duration::from_millis(100))).build();
    let (_, facts) = run(&simulator, &folder(), 40, &["--concurrency", "4", "--rpm", "60000"], 0).await;
    let efficiency = &facts["efficiency"];
    assert_eq!(efficiency["bound_by"], "4 in flight");
    // 40 answers of 0.1 s, four at a time, take 1 s.
    assert!(efficiency["best_s"].as_f64().is_some_and(|best| (1.0..1.3).contains(&best)), "{facts}");
    let (e, wall) = (efficiency["e"].as_f64().expect("a share"), facts["wall_s"].as_f64().expect("a time"));
    assert!((e * wall - efficiency["best_s"].as_f64().expect("a time")).abs() < 0.01, "{facts}");
}

#[tokio::test]
async fn a_wait_for_limits_has_its_share() {
    let simulator = Simulator::builder().build();
    let (run, facts) = run(&simulator, &folder(), 6, &["--rpm", "150"], 0).await;
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let waits = facts["waits"].as_array().expect("waits");
    let limits = waits.iter().find(|wait| wait["reason"] == "limits").expect("that of the limits");
    assert!(limits["share"].as_f64() > Some(0.5) && limits["sum_s"].as_f64() > Some(1.0), "{facts}");
    assert!(facts["short_of"]["requests of m"].as_f64() > Some(0.5), "{facts}");
    assert!(
        facts["efficiency"]["bound_by"].as_str().is_some_and(|by| by.starts_with("6 requests at 150 in"))
    );
    assert!(
        said(&run).contains("\nwaited for the limits: ") && said(&run).contains("\nefficiency (E) "),
        "{}",
        said(&run)
    );
}

/// Answers that were paid for and could not be written are named.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_output_that_fails_names_what_was_answered_for_nothing() {
    let simulator = Simulator::builder().latency(Latency::fixed(Duration::from_millis(50))).build();
    let (run, facts) = run(&simulator, &folder(), 40, &["-o", "/dev/full", "--concurrency", "4"], 0).await;
    assert_eq!(run.status.code(), Some(6));
    assert_eq!(facts["succeeded"], 0);
    let lost = facts["unwritten"]["count"].as_u64().expect("a count");
    assert!(lost >= 1 && said(&run).contains("answered, but are not in the output: r"), "{}", said(&run));
    assert!(facts["trouble"].as_str().is_some_and(|trouble| trouble.contains("/dev/full")), "{facts}");
    adds_up(&facts);
}

#[tokio::test]
async fn bad_input_in_the_middle_has_a_summary_of_what_came_before() {
    let simulator = Simulator::builder().build();
    let address = simulator.listen("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{address}/v1");
    let folder = folder();
    let summary = folder.path().join("summary.json");
    let arguments = ["run", "-", "--base-url", &base, "--summary", text(&summary)];
    let mut child = outbound(&arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let lines = [line(0), line(1), String::from("{"), line(2)].join("\n");
    std::io::Write::write_all(&mut stdin, lines.as_bytes()).expect("it reads");
    drop(stdin);
    let run = tokio::task::spawn_blocking(move || child.wait_with_output()).await.expect("no panic");
    let run = run.expect("it ends");
    assert_eq!(run.status.code(), Some(3));
    assert!(said(&run).contains("2 succeeded, 0 failed") && said(&run).contains("line 3"), "{}", said(&run));
    let facts = json(&summary);
    assert!(facts["trouble"].as_str().is_some_and(|trouble| trouble.contains("line 3")), "{facts}");
    assert_eq!((&facts["succeeded"], &facts["asked"]), (&2.into(), &Value::Null));
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_stop_says_why_and_how_many_were_not_sent() {
    let simulator = Simulator::builder().fault(Refusal::quota_spent(), 1.0).build();
    let (run, facts) = run(&simulator, &folder(), 30, &["--concurrency", "2"], 0).await;
    assert_eq!(run.status.code(), Some(4));
    assert!(facts["stopped"].as_str().is_some_and(|why| why.to_lowercase().contains("quota")), "{facts}");
    adds_up(&facts);
}

/// Answers are paid for: neither the summary nor the report may replace them.
#[test]
fn a_summary_has_a_file_of_its_own() {
    let folder = folder();
    let input = input(&folder, 3, &[]);
    let (input, output) = (text(&input).to_owned(), text(&folder.path().join("out.jsonl")).to_owned());
    let beside = format!("{}/./out.jsonl", text(folder.path()));
    for (flag, path, says) in [
        ("--summary", &*input, "already uses that file"),
        ("--summary", &*output, "already uses that file"),
        ("--html", &*beside, "already uses that file"),
        ("--html", text(folder.path()), "is a folder"),
        ("--summary", "/no/such/folder/summary.json", "the folder of that file does not exist"),
    ] {
        let run =
            outbound(&["run", "--simulate", &input, "-o", &output, flag, path]).output().expect("it runs");
        assert_eq!(run.status.code(), Some(2), "{path}: {}", said(&run));
        assert!(said(&run).contains(flag) && said(&run).contains(says), "{path}: {}", said(&run));
        assert!(!Path::new(&output).exists(), "found before anything was sent");
    }
    let both = ["--summary", "same", "--html", "same"];
    let run = outbound(&[&["run", "--simulate", &*input][..], &both].concat()).output().expect("it runs");
    assert_eq!(run.status.code(), Some(2), "{}", said(&run));
}

#[cfg(target_os = "linux")]
#[test]
fn a_summary_that_cannot_be_written_changes_no_code() {
    let folder = folder();
    let input = input(&folder, 3, &[]);
    let run =
        outbound(&["run", "--simulate", text(&input), "--summary", "/dev/full"]).output().expect("it runs");
    assert_eq!(run.status.code(), Some(0));
    assert!(said(&run).contains("the summary cannot be written to /dev/full: "), "{}", said(&run));
}
