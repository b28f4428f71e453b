//! Runs that go on: the same command keeps every answer, and sends only what has none.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use outbound_simulator::{Latency, Refusal, Simulator};
use tempfile::TempDir;

use crate::support::{Running, answers, folder, ids, input, line, outbound, received, said, text};

/// A server, an input with this many lines, and an output.
struct Job {
    simulator: Simulator,
    base: String,
    folder: TempDir,
    lines: usize,
    input: PathBuf,
    output: PathBuf,
}

impl Job {
    async fn new(lines: usize, simulator: Simulator) -> Self {
        let address = simulator.listen("127.0.0.1:0").await.expect("a port");
        let folder = folder();
        let input = input(&folder, lines, &[]);
        let output = folder.path().join("out.jsonl");
        Self { simulator, base: format!("http://{address}/v1"), folder, lines, input, output }
    }

    fn command(&self, more: &[&str]) -> std::process::Command {
        let mut arguments = vec![
            "run",
            text(&self.input),
            "-o",
            text(&self.output),
            "--base-url",
            &self.base,
            "--concurrency",
            "8",
        ];
        arguments.extend(more);
        outbound(&arguments)
    }

    fn run(&self, more: &[&str]) -> Output {
        let mut command = self.command(more);
        tokio::task::block_in_place(|| command.output().expect("it runs"))
    }

    fn start(&self) -> Running {
        Running::start(self.command(&[]))
    }

    /// Returns when the server has received this many requests.
    async fn seen(&self, sends: usize) {
        received(&self.simulator, sends).await;
    }

    /// Checks that each line has exactly one answer.
    fn is_complete(&self) {
        let answers = answers(&self.output);
        let ids: BTreeMap<_, _> =
            answers.iter().map(|answer| (answer["custom_id"].to_string(), answer)).collect();
        assert_eq!((answers.len(), ids.len()), (self.lines, self.lines), "none lost, none doubled");
        assert!(answers.iter().all(|answer| answer["error"].is_null()));
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("out.jsonl.state")
    }
}

fn fast() -> Simulator {
    Simulator::builder().latency(Latency::fixed(Duration::from_millis(20))).build()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_is_taken_up_and_what_was_under_way_is_flagged() {
    let job = Job::new(200, fast()).await;
    let mut resent = 0;
    for kill in 1..=5 {
        let child = job.start();
        job.seen(kill * 25).await;
        child.kill();
    }
    let run = job.run(&[]);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    job.is_complete();
    let sends = job.simulator.ledger().sends();
    for answer in answers(&job.output) {
        resent += usize::from(answer["outbound"]["possible_duplicate"] == true);
    }
    // When the run is killed, at most 8 requests are in flight, and at most 8 answers are not written yet.
    let extra = sends - job.lines;
    assert!(extra <= resent && resent <= 5 * 16, "{extra} sent again, {resent} flagged");
    assert!(resent > 0, "it was killed at work");
    assert!(!job.state().exists(), "nothing is left to be taken up");
    job.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_run_sends_nothing() {
    let job = Job::new(20, fast()).await;
    for _ in 0..2 {
        let run = job.run(&[]);
        assert_eq!(run.status.code(), Some(0), "{}", said(&run));
        job.is_complete();
        assert_eq!(job.simulator.ledger().sends(), 20);
    }
    // With one more line, only that line is sent.
    let more = std::fs::read_to_string(&job.input).expect("the input") + &line(20) + "\n";
    std::fs::write(&job.input, more).expect("a line more");
    assert_eq!(job.run(&[]).status.code(), Some(0));
    assert_eq!((answers(&job.output).len(), job.simulator.ledger().sends()), (21, 21));
    let run = job.run(&["--fresh"]);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert_eq!((answers(&job.output).len(), job.simulator.ledger().sends()), (21, 42));
    assert!(said(&run).contains("is kept as ") && said(&run).contains("out.jsonl.1"), "{}", said(&run));
    for answer in answers(&job.output) {
        let number = answer["outbound"]["line"].as_u64().expect("its line of the input");
        assert_eq!(answer["custom_id"], format!("r{}", number - 1));
    }
    assert_eq!(answers(&job.folder.path().join("out.jsonl.1")).len(), 21, "the old file is kept");
    job.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_costs_nothing_that_the_right_one_does_not_bring() {
    let job = Job::new(30, Simulator::builder().key("right").build()).await;
    let run = |key: &str| {
        let mut command = job.command(&["--key-env", "K"]);
        tokio::task::block_in_place(|| command.env("K", key).output().expect("it runs"))
    };
    assert_eq!(run("wrong").status.code(), Some(4));
    let right = run("right");
    assert_eq!(right.status.code(), Some(0), "{}", said(&right));
    job.is_complete();
    job.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_sent_again_only_if_asked() {
    // The server rejects the first ten requests.
    let refuse = Refusal::status(422);
    let simulator = Simulator::builder()
        .fault_when(move |seen| (seen.sequence < 10).then(|| refuse.clone().into()))
        .build();
    let mut job = Job::new(40, simulator).await;
    let run = job.run(&[]);
    assert_eq!(run.status.code(), Some(1), "{}", said(&run));
    assert_eq!(ids(&answers(&job.output)).len(), 40);
    // The lines that failed are in a file of their own, which can be run.
    let failed = job.folder.path().join("out.failed.jsonl");
    let all = std::fs::read_to_string(&job.input).expect("the input");
    let refused = std::fs::read_to_string(&failed).expect("those that failed");
    assert_eq!(refused.lines().count(), 10);
    assert!(refused.lines().all(|line| all.lines().any(|other| other == line)), "as they stand in the input");
    assert!(said(&run).contains("10 lines failed; "), "{}", said(&run));
    let run = job.run(&[]);
    assert_eq!((run.status.code(), job.simulator.ledger().sends()), (Some(1), 40), "{}", said(&run));
    assert!(said(&run).contains("--retry-failed"), "{}", said(&run));
    // A run that sends only another line still knows what failed before.
    std::fs::write(&job.input, all + &line(40) + "\n").expect("a line more");
    let run = job.run(&[]);
    assert_eq!((run.status.code(), job.simulator.ledger().sends()), (Some(1), 41), "{}", said(&run));
    job.lines += 1;
    let run = job.run(&["--retry-failed"]);
    assert_eq!((run.status.code(), job.simulator.ledger().sends()), (Some(0), 51), "{}", said(&run));
    job.is_complete();
    assert!(!failed.exists(), "who runs the old list would pay again");
    job.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn some_of_the_lines_that_failed_are_run_by_themselves_into_the_same_output() {
    let refuse = Refusal::status(422);
    let simulator = Simulator::builder()
        .fault_when(move |seen| (seen.sequence < 4).then(|| refuse.clone().into()))
        .build();
    let mut job = Job::new(10, simulator).await;
    assert_eq!(job.run(&[]).status.code(), Some(1));
    let list = std::fs::read_to_string(job.folder.path().join("out.failed.jsonl")).expect("a list");
    let (whole, some) = (job.input.clone(), job.folder.path().join("some.jsonl"));
    let two: String = list.lines().take(2).map(|line| line.to_owned() + "\n").collect();
    std::fs::write(&some, two).expect("a file");
    job.input = some;
    let run = job.run(&["--retry-failed"]);
    assert_eq!((run.status.code(), job.simulator.ledger().sends()), (Some(0), 12), "{}", said(&run));
    let failed = |answers: &[serde_json::Value]| answers.iter().filter(|it| !it["error"].is_null()).count();
    let written = answers(&job.output);
    assert_eq!((written.len(), failed(&written)), (10, 2), "the other two are still told as failed");
    job.input = whole;
    let run = job.run(&["--retry-failed"]);
    assert_eq!((run.status.code(), job.simulator.ledger().sends()), (Some(0), 14), "{}", said(&run));
    job.is_complete();
    job.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_body_and_another_input_are_named_and_nothing_is_sent() {
    let job = Job::new(3, fast()).await;
    assert_eq!(job.run(&[]).status.code(), Some(0));
    let before = std::fs::read_to_string(&job.output).expect("the output");
    let changed = std::fs::read_to_string(&job.input).expect("the input").replace("What is 1", "What was 1");
    std::fs::write(&job.input, changed).expect("a change");
    let run = job.run(&[]);
    assert_eq!(run.status.code(), Some(3));
    let says =
        "line 2: `custom_id` \"r1\" was answered in an earlier run, but the line has changed since then";
    assert!(said(&run).contains(says), "{}", said(&run));
    let others: String = (50..60).map(|id| line(id) + "\n").collect();
    std::fs::write(&job.input, others).expect("another input");
    let run = job.run(&[]);
    assert_eq!(run.status.code(), Some(6));
    assert!(said(&run).contains("none of the 3 lines in the output belongs to"), "{}", said(&run));
    assert_eq!(job.simulator.ledger().sends(), 3);
    assert_eq!(std::fs::read_to_string(&job.output).expect("the output"), before);
    job.simulator.shutdown().await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn two_runs_on_one_output_refuse_under_whatever_name() {
    let job =
        Job::new(50, Simulator::builder().latency(Latency::fixed(Duration::from_millis(300))).build()).await;
    let first = job.start();
    job.seen(9).await;
    let (link, hard) = (job.folder.path().join("link"), job.folder.path().join("hard"));
    std::os::unix::fs::symlink(&job.output, &link).expect("a link");
    std::fs::hard_link(&job.output, &hard).expect("a link");
    for output in [&job.output, &link, &hard] {
        let mut command = outbound(&["run", text(&job.input), "-o", text(output), "--base-url", &job.base]);
        let run = tokio::task::block_in_place(|| command.output().expect("it runs"));
        assert_eq!(run.status.code(), Some(6));
        assert!(said(&run).contains("another run writes to it"), "{}", said(&run));
    }
    assert_eq!(first.end().status.code(), Some(0));
    job.is_complete();
    assert_eq!(job.simulator.ledger().sends(), 50);
    job.simulator.shutdown().await;
}

/// Only on Linux, which is enough: the code is the same on every system.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn every_setting_of_fsync_brings_every_answer() {
    for fsync in ["batch", "always", "off"] {
        let job = Job::new(100, Simulator::builder().build()).await;
        let run = job.run(&["--fsync", fsync]);
        assert_eq!(run.status.code(), Some(0), "{}", said(&run));
        job.is_complete();
        job.simulator.shutdown().await;
    }
}

/// Standard input cannot be read twice. A run still knows which of its lines have an answer.
#[tokio::test(flavor = "multi_thread")]
async fn standard_input_is_taken_up_too() {
    let job = Job::new(40, fast()).await;
    let arguments = ["run", "-", "-o", text(&job.output), "--base-url", &job.base, "--concurrency", "4"];
    let start = || {
        let input = std::fs::File::open(&job.input).expect("the input");
        let mut command = outbound(&arguments);
        command.stdin(input);
        Running::start(command)
    };
    let killed = start();
    job.seen(20).await;
    killed.kill();
    let run = start().end();
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    job.is_complete();
    // Four were in flight, and a few had answers that were not written yet; 60 if nothing were known of the first 20.
    let sends = job.simulator.ledger().sends();
    assert!(sends <= 50, "{sends}");
    job.simulator.shutdown().await;
}

#[test]
fn the_state_of_a_path_that_is_missing_is_no_panic() {
    let run = outbound(&["run", "no-such.jsonl", "--simulate", "-o", "no/such/folder/out.jsonl"]).output();
    assert_eq!(run.expect("it runs").status.code(), Some(3));
    assert!(!Path::new("no").exists());
}

/// Requests that wait for their next attempt when the budget is used up do not fail.
#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_is_spent_stops_the_run_and_fails_nothing() {
    let simulator = Simulator::builder().fault_on_attempt(Refusal::status(500), 1).build();
    let job = Job::new(60, simulator).await;
    let prices = job.folder.path().join("prices.json");
    std::fs::write(&prices, r#"{"m": {"input": 1000, "output": 1000}}"#).expect("a file");
    let run = job.run(&["--prices", text(&prices), "--budget", "0.9"]);
    assert_eq!(run.status.code(), Some(5), "{}", said(&run));
    assert!(said(&run).contains("of the budget of") && said(&run).contains("to go on: "), "{}", said(&run));
    let before = answers(&job.output);
    assert!(
        before.iter().all(|answer| answer["error"].is_null()) && before.len() < 60,
        "{} lines",
        before.len()
    );
    let run = job.run(&[]);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    job.is_complete();
    job.simulator.shutdown().await;
}

/// Two interrupts end requests in flight. The next run sends them again, and marks their answers.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn what_two_interrupts_cut_off_is_sent_again_and_flagged() {
    let job =
        Job::new(20, Simulator::builder().latency(Latency::fixed(Duration::from_millis(800))).build()).await;
    let mut child = job.start();
    job.seen(8).await;
    for _ in 0..2 {
        let id = child.child().id().to_string();
        let sent = std::process::Command::new("kill").args(["-INT", &id]).status();
        assert!(sent.is_ok_and(|status| status.success()));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let run = child.end();
    assert_eq!(run.status.code(), Some(130), "{}", said(&run));
    let done = answers(&job.output).len();
    assert!(job.state().exists(), "what was under way is not forgotten");
    let run = job.run(&[]);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    job.is_complete();
    let flagged = |answer: &&serde_json::Value| answer["outbound"]["possible_duplicate"] == true;
    assert_eq!(answers(&job.output).iter().filter(flagged).count(), 8 - done);
    assert!(!job.state().exists());
    job.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_succeeds_does_not_make_it_forget_what_was_sent_of_the_rest() {
    let simulator = Simulator::builder().latency(Latency::fixed(Duration::from_millis(500))).build();
    let job = Job::new(8, simulator).await;
    let running = job.start();
    job.seen(8).await;
    running.kill();
    let run = job.run(&["--limit", "2"]);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let run = job.run(&[]);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    job.is_complete();
    let answers = answers(&job.output);
    assert!(answers.iter().all(|answer| answer["outbound"]["possible_duplicate"] == true), "all left twice");
    assert!(!job.state().exists());
    job.simulator.shutdown().await;
}
