//! One batch on several machines: `--store`. What needs a database is skipped without `OUTBOUND_TEST_POSTGRES`.
#![cfg(unix)]
// long: what several processes do on one batch, a test for each thing that a user asks for.

use std::{collections::BTreeMap, path::Path, process::Output, time::Duration};

use outbound_simulator::{Latency, Refusal, Simulator};
use serde_json::Value;
use tokio::{task::block_in_place, time::Instant};

use crate::{
    several_job::{Job, lasting, signal, succeeded},
    support::{Running, answers, folder, ids, line, outbound, received, said, text},
};

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_a_batch_and_each_writes_the_whole_output() {
    let Some(job) = Job::new(160, 100).await else { return };
    let outputs = ["a.jsonl", "b.jsonl"].map(|name| job.path(name));
    let runs = outputs.each_ref().map(|output| job.start(&["-o", text(output)]));
    let runs = runs.map(Running::end);
    for run in &runs {
        assert_eq!(run.status.code(), Some(0), "{}", said(run));
        assert!(
            said(run).contains("the batch nightly: 160 of 160 lines are done, 0 of them failed"),
            "{}",
            said(run)
        );
    }
    let counts = runs.each_ref().map(succeeded);
    assert!(counts.iter().all(|count| *count > 10) && counts.iter().sum::<u64>() == 160, "{counts:?}");
    assert_eq!(job.sends(), 160);
    let [one, other] = outputs.each_ref().map(|output| answers(output));
    assert_eq!(one, other);
    job.all_are_there(&one, 160);
    // The same command again has nothing to send, and a run without a database gives the same lines.
    let again = job.run(&["-o", text(&outputs[0])]);
    assert_eq!((again.status.code(), job.sends()), (Some(0), 160), "{}", said(&again));
    assert!(said(&again).contains("nothing to send: all 160 lines"), "{}", said(&again));
    assert!(!job.path("a.jsonl.1").exists(), "the same lines replace the same lines");
    let alone = job.path("alone.jsonl");
    let run = outbound(&["run", text(&job.input), "--base-url", &job.base, "-o", text(&alone)]).output();
    assert_eq!(run.expect("it runs").status.code(), Some(0));
    let by_id = |answers: Vec<Value>| -> BTreeMap<String, Value> {
        answers.into_iter().map(|answer| (answer["custom_id"].to_string(), lasting(answer))).collect()
    };
    let lines: Vec<_> = one.iter().map(|answer| answer["outbound"]["line"].as_u64()).collect();
    assert!(lines.is_sorted(), "in the order of the input");
    assert_eq!(by_id(one), by_id(answers(&alone)));
    let shown = outbound(&["status", text(&outputs[0])]).output().expect("it runs");
    assert!(String::from_utf8_lossy(&shown.stdout).contains("160 answered, 0 failed"), "{shown:?}");
    job.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_gives_the_rest_to_the_others_at_once() {
    let Some(job) = Job::new(150, 40).await else { return };
    let mut first = job.start(&[]);
    let second = job.start(&[]);
    received(&job.simulator, 40).await;
    signal(&mut first, "-INT");
    let began = Instant::now();
    let first = first.end();
    assert_eq!(first.status.code(), Some(130), "{}", said(&first));
    assert!(said(&first).contains("to go on: outbound run "), "{}", said(&first));
    let second = second.end();
    assert_eq!(second.status.code(), Some(0), "{}", said(&second));
    assert!(began.elapsed() < Duration::from_secs(60), "the lease of two minutes was not waited for");
    assert_eq!(job.sends(), 150, "what was in flight was finished");
    job.all_are_there(&job.export("out.jsonl", 0), 150);
    job.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_interrupt_says_what_may_have_been_sent() {
    let Some(job) = Job::new(30, 3_000).await else { return };
    let mut first = job.start(&[]);
    received(&job.simulator, 4).await;
    signal(&mut first, "-INT");
    tokio::time::sleep(Duration::from_millis(200)).await;
    signal(&mut first, "-INT");
    let first = first.end();
    assert_eq!(first.status.code(), Some(130), "{}", said(&first));
    let status = job.status();
    assert_eq!((&status["may_have_been_sent"], &status["ready"]), (&4.into(), &26.into()), "{status}");
    assert_eq!(status["claimed"], 0, "{status}");
    let shown = job.ask("status", &[]);
    assert!(
        String::from_utf8_lossy(&shown.stdout).contains("4 may have been sent by a machine that is gone")
    );
    job.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctl_reaches_all_machines_and_those_that_join() {
    let Some(job) = Job::new(900, 50).await else { return };
    let (first, second) = (job.start(&[]), job.start(&[]));
    received(&job.simulator, 20).await;
    let done = |arguments: &[&str]| {
        let run = job.ask("ctl", arguments);
        assert_eq!(run.status.code(), Some(0), "{arguments:?}: {}", said(&run));
        String::from_utf8_lossy(&run.stdout).into_owned()
    };
    assert!(done(&["pause"]).starts_with("Paused: "));
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let third = job.start(&[]);
    let sends = job.sends();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(job.sends(), sends, "nobody sends, nor does who joins");
    let status = job.status();
    assert_eq!(
        (&status["paused"], status["machines"].as_array().map(Vec::len)),
        (&true.into(), Some(3)),
        "{status}"
    );
    let machine = &status["machines"][0];
    assert!(machine["is_at_work"] == true && machine["status"]["why"]["reason"] == "paused", "{status}");
    done(&["resume"]);
    received(&job.simulator, sends + 10).await;
    done(&["limits", "--concurrency", "1"]);
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let told = done(&["status", "--json"]);
    let told: Value = serde_json::from_str(&told).expect("an object of JSON");
    let flying: Vec<_> = told["machines"]
        .as_array()
        .expect("some")
        .iter()
        .map(|one| one["status"]["in_flight"].as_u64())
        .collect();
    assert!(flying.iter().all(|flying| *flying <= Some(1)), "{told}");
    done(&["drain"]);
    for run in [first, second, third].map(Running::end) {
        assert_eq!(run.status.code(), Some(130), "{}", said(&run));
    }
    let written = job.export("out.jsonl", 5).len();
    assert_eq!(written, job.sends(), "what was sent was finished");
    assert!(done(&["status"]).contains("No machine works on it"));
    // A later run is not told to end, and has the limits.
    let later = job.start(&[]);
    received(&job.simulator, written + 5).await;
    done(&["limits", "--concurrency", "50"]);
    let later = later.end();
    assert_eq!(later.status.code(), Some(0), "{}", said(&later));
    job.all_are_there(&job.export("out.jsonl", 0), 900);
    job.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_wrong_key_leaves_the_lines_to_the_others() {
    let Some(job) = Job::with(
        40,
        Simulator::builder().key("sk-right").latency(Latency::fixed(Duration::from_millis(20))).build(),
    )
    .await
    else {
        return;
    };
    let with_key = |key: &str| {
        let mut command = job.command(&["--key-env", "K"]);
        command.env("K", key);
        command
    };
    let wrong = block_in_place(|| with_key("sk-wrong").output().expect("it runs"));
    assert_eq!(wrong.status.code(), Some(4), "{}", said(&wrong));
    assert!(said(&wrong).contains("0 of 40 lines are done"), "{}", said(&wrong));
    let status = job.status();
    assert_eq!(
        (&status["ready"], &status["failed"], &status["claimed"]),
        (&40.into(), &0.into(), &0.into()),
        "{status}"
    );
    let right = block_in_place(|| with_key("sk-right").output().expect("it runs"));
    assert_eq!(right.status.code(), Some(0), "{}", said(&right));
    assert_eq!(job.export("out.jsonl", 0).len(), 40);
    job.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_told_and_sent_again_when_asked() {
    let simulator = Simulator::builder().fault_when(|seen: &outbound_simulator::Seen| {
        (seen.sequence < 3).then(|| Refusal::status(400).into())
    });
    let Some(job) = Job::with(20, simulator.build()).await else { return };
    let output = job.path("out.jsonl");
    let run = job.run(&["-o", text(&output)]);
    assert_eq!(run.status.code(), Some(1), "{}", said(&run));
    assert_eq!(answers(&output).iter().filter(|answer| !answer["error"].is_null()).count(), 3);
    assert_eq!(std::fs::read_to_string(job.path("out.failed.jsonl")).expect("a list").lines().count(), 3);
    let status = job.status();
    assert_eq!((&status["answered"], &status["failed"]), (&17.into(), &3.into()), "{status}");
    assert_eq!(
        (&status["failures"][0]["code"], &status["failures"][0]["count"]),
        (&"rejected".into(), &3.into())
    );
    let again = job.run(&[]);
    assert_eq!((again.status.code(), job.sends()), (Some(1), 20), "{}", said(&again));
    let retried = job.run(&["--retry-failed", "-o", text(&output)]);
    assert_eq!((retried.status.code(), job.sends()), (Some(0), 23), "{}", said(&retried));
    assert_eq!(answers(&output).len(), 20);
    assert!(!job.path("out.failed.jsonl").exists(), "none failed");
    job.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_line_is_an_error_and_a_moved_one_is_not() {
    let Some(mut job) = Job::new(5, 1).await else { return };
    assert_eq!(job.run(&[]).status.code(), Some(0));
    let lines: Vec<_> = (0..5).map(line).collect();
    let moved = format!("{}\n{}\n{}\n", line(9), lines[2], lines[0]);
    job.input = job.path("moved.jsonl");
    std::fs::write(&job.input, moved).expect("a file");
    let run = job.run(&[]);
    assert_eq!((run.status.code(), job.sends()), (Some(0), 6), "{}", said(&run));
    std::fs::write(&job.input, lines[2].replace("What is", "Who is")).expect("a file");
    let run = job.run(&[]);
    assert_eq!((run.status.code(), job.sends()), (Some(3), 6));
    assert!(
        said(&run).contains("line 1: `custom_id` \"r2\" is in the batch, but the line has changed"),
        "{}",
        said(&run)
    );
    job.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_loses_nothing_that_was_there() {
    let Some(job) = Job::new(5, 1).await else { return };
    assert_eq!(job.run(&[]).status.code(), Some(0));
    let output = job.path("out.jsonl");
    std::fs::write(&output, "paid for\n").expect("a file");
    let run = job.ask("export", &["-o", text(&output)]);
    assert_eq!(run.status.code(), Some(6), "{}", said(&run));
    assert!(
        said(&run).contains("is not an output of this command") && !said(&run).contains("--fresh"),
        "{}",
        said(&run)
    );
    // The answers of another run are kept.
    std::fs::remove_file(&output).expect("it is there");
    let other = job.path("other.jsonl");
    std::fs::write(&other, line(7)).expect("a file");
    let run = outbound(&["run", text(&other), "--base-url", &job.base, "-o", text(&output)]).output();
    assert_eq!(run.expect("it runs").status.code(), Some(0));
    assert_eq!(job.export("out.jsonl", 0).len(), 5);
    assert_eq!(ids(&answers(&job.path("out.jsonl.1"))), ["r7"]);
    // A file that is named counts, also where the environment has the address of a database.
    let shown =
        outbound(&["status", text(&output)]).env("OUTBOUND_STORE", "postgres://127.0.0.1:1/none").output();
    assert!(String::from_utf8_lossy(&shown.expect("it runs").stdout).contains("5 answered"));
    let shown = job.ask("export", &["-o", "-"]);
    assert_eq!(String::from_utf8_lossy(&shown.stdout).lines().count(), 5);
    let removed = job.ask("export", &["-o", text(&output), "--remove"]);
    assert_eq!(removed.status.code(), Some(0), "{}", said(&removed));
    let gone = job.ask("status", &[]);
    assert_eq!(gone.status.code(), Some(3), "{}", said(&gone));
    assert!(said(&gone).contains("has no batch \"nightly\""), "{}", said(&gone));
    job.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_version_cannot_read_is_not_passed_over() {
    let Some(job) = Job::new(5, 1).await else { return };
    assert_eq!(job.run(&[]).status.code(), Some(0));
    job.execute("update job set state = 0; delete from answer").await;
    // A limit of a later version may be a budget.
    job.execute(
        "insert into batch_order (batch, limits) select batch, '{\"budget\": 1, \"per_hour\": 3}' from batch \
                 on conflict (batch) do update set limits = excluded.limits",
    )
    .await;
    let run = job.run(&[]);
    assert_eq!((run.status.code(), job.sends()), (Some(2), 5), "{}", said(&run));
    assert!(said(&run).contains("the batch has limits that this version cannot read"), "{}", said(&run));
    job.execute("update batch_order set limits = '{}'").await;
    // A line that it cannot read is held by nobody, and neither are the others.
    job.execute("update body set payload = '{}' where id = 'r3'").await;
    let run = job.run(&["--limit", "2"]);
    assert_eq!(run.status.code(), Some(3), "{}", said(&run));
    assert!(said(&run).contains("cannot read: `custom_id` \"r3\""), "{}", said(&run));
    assert_eq!((job.status()["claimed"].as_u64(), job.sends()), (Some(0), 5));
    job.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_of_one_machine_may_write_to_one_file() {
    let Some(job) = Job::new(60, 50).await else { return };
    let output = job.path("out.jsonl");
    let runs: Vec<_> = (0..4).map(|_| job.start(&["-o", text(&output)])).collect();
    for run in runs.into_iter().map(Running::end) {
        assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    }
    job.all_are_there(&answers(&output), 60);
    let files = std::fs::read_dir(output.parent().expect("a folder")).expect("it is there");
    let left = files.flatten().filter(|file| file.file_name().to_string_lossy().contains("outbound-new"));
    assert_eq!(left.count(), 0);
    job.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_shows_the_password() {
    let Some(mut job) = Job::new(30, 200).await else { return };
    job.store = job.store.replace("postgres@", "postgres:se'cret-0123@");
    let mut run = job.start(&[]);
    received(&job.simulator, 5).await;
    signal(&mut run, "-INT");
    let run = run.end();
    assert_eq!(run.status.code(), Some(130), "{}", said(&run));
    assert!(said(&run).contains("to go on: ") && said(&run).contains("postgres:***@"), "{}", said(&run));
    assert!(!said(&run).contains("cret-0123"), "{}", said(&run));
    let refused = job.store.replace("postgres:se'cret-0123@", "nobody-there:se'cret-0123@");
    let run = outbound(&["status", "--store", &refused, "--name", "nightly"]).output().expect("it runs");
    assert_eq!(run.status.code(), Some(2));
    assert!(
        said(&run).contains("--store: the database refused") && said(&run).contains("nobody-there"),
        "{}",
        said(&run)
    );
    assert!(!said(&run).contains("cret-0123"), "{}", said(&run));
    job.store = job.store.replace("127.0.0.1", "127.0.0.1:1");
    let run = job.run(&[]);
    assert_eq!(run.status.code(), Some(2));
    assert!(said(&run).contains("--store: ") && !said(&run).contains("cret-0123"), "{}", said(&run));
    job.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budget_is_for_all_machines_together() {
    let simulator =
        Simulator::builder().latency(Latency::fixed(Duration::from_millis(300))).output_tokens(10..=10);
    let Some(job) = Job::with(100, simulator.build()).await else { return };
    // An answer costs a dollar, and may cost 3.20.
    let prices = job.path("prices.json");
    std::fs::write(&prices, r#"{"m": {"input": 0, "output": 100000}}"#).expect("a file");
    let with = ["--prices", text(&prices), "--budget", "40"];
    let runs = [job.start(&with), job.start(&with)].map(Running::end);
    for run in &runs {
        assert_eq!(run.status.code(), Some(5), "{}", said(run));
        assert!(
            said(run).contains("nothing more is sent: the budget of the batch is spent"),
            "{}",
            said(run)
        );
    }
    let cost = |run: &Output| -> f64 {
        let said = said(run);
        let cost = said
            .split_once("cost $")
            .map_or("0", |(_, rest)| rest.split_whitespace().next().expect("a number"));
        cost.parse().expect("a number")
    };
    let costs = runs.each_ref().map(cost);
    let spent: f64 = costs.iter().sum();
    assert!((30.0..=40.0).contains(&spent) && costs.iter().all(|cost| *cost > 0.0), "{costs:?}");
    let sends = job.sends();
    assert_eq!(job.export("out.jsonl", 5).len(), sends);
    let without = job.run(&[]);
    assert_eq!(without.status.code(), Some(2), "{}", said(&without));
    assert!(said(&without).contains("give --prices"), "{}", said(&without));
    let more = job.ask("ctl", &["limits", "--budget", "400"]);
    assert_eq!(more.status.code(), Some(0), "{}", said(&more));
    let run = job.run(&["--prices", text(&prices)]);
    assert_eq!((run.status.code(), job.sends()), (Some(0), 100), "{}", said(&run));
    job.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_for_all_machines_together() {
    let Some(job) = Job::new(80, 20).await else { return };
    let runs = [job.start(&["--rpm", "600"]), job.start(&["--rpm", "600"])];
    received(&job.simulator, 1).await;
    let began = Instant::now();
    received(&job.simulator, 80).await;
    // Ten a second, and no more than a second's worth at once. Two machines with a limit each would take half of that.
    assert!(began.elapsed() >= Duration::from_millis(6_500), "{:?}", began.elapsed());
    let runs = runs.map(Running::end);
    assert!(runs.iter().all(|run| run.status.code() == Some(0) && succeeded(run) > 10), "{}", said(&runs[0]));
    job.simulator.shutdown().await;
}

fn shown(folder: &Path, arguments: &[&str]) -> String {
    let run = outbound(arguments).current_dir(folder).output().expect("it runs");
    let (stdout, code) =
        (String::from_utf8_lossy(&run.stdout).into_owned(), run.status.code().expect("a code"));
    format!("$ outbound {}\n{stdout}{}[exit code {code}]\n", arguments.join(" "), said(&run))
}

/// None of these reaches a database.
#[test]
fn options_that_do_not_go_together_say_what_to_do() {
    let folder = folder();
    std::fs::write(folder.path().join("in.jsonl"), line(1) + "\n").expect("a file");
    let base = ["run", "in.jsonl", "--base-url", "http://127.0.0.1:1/v1"];
    let store = ["--store", "postgres://127.0.0.1:1/none", "--name", "nightly"];
    let mut all = shown(folder.path(), &[&base[..], &store[..2]].concat());
    all += &shown(folder.path(), &[&base[..], &["--name", "nightly"]].concat());
    all += &shown(folder.path(), &[&["run", "in.jsonl", "--simulate"], &store[..]].concat());
    for more in [&["--fresh"][..], &["-o", "-"], &["-o", "in.jsonl"], &["--lease", "10ms"]] {
        all += &shown(folder.path(), &[&base[..], &store, more].concat());
    }
    all += &shown(folder.path(), &[&base[..], &["--store", "here", "--name", "nightly"]].concat());
    all += &shown(folder.path(), &["status"]);
    all += &shown(folder.path(), &["export", "--name", "nightly", "-o", "out.jsonl"]);
    insta::assert_snapshot!("options", all);
}
