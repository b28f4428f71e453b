//! What people read of a wrong option, a wrong input, a wrong output and a refused key; and what `check`, `plan` and `status`
//! print. All are snapshots. Each command runs in a folder of its own, so that no path of the machine is in them.

use std::{
    path::Path,
    process::{Output, Stdio},
};

use outbound_simulator::{Refusal, Simulator};
use serde_json::Value;

use crate::support::{folder, line, outbound, text};

/// An address that nobody listens on, for commands that send nothing.
const NOBODY: &str = "http://127.0.0.1:1/v1";

/// A command as a user types it, and all that it prints.
fn shown(folder: &Path, arguments: &[&str]) -> String {
    let run = outbound(arguments)
        .current_dir(folder)
        .env("EMPTY", "")
        .env("KEY", "sk-right")
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    transcript(arguments, &run)
}

fn transcript(arguments: &[&str], run: &Output) -> String {
    let code = run.status.code().expect("an exit code");
    let [stdout, stderr] = [&run.stdout, &run.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    let stderr = without_port(&stderr);
    format!("$ outbound {}\n{stdout}{stderr}[exit code {code}]\n", arguments.join(" "))
}

/// The text, with the port of the simulated provider replaced: the system chooses it.
fn without_port(text: &str) -> String {
    let Some((before, after)) = text.split_once("simulated provider at 127.0.0.1:") else {
        return text.to_owned();
    };
    let after = after.trim_start_matches(|character: char| character.is_ascii_digit());
    format!("{before}simulated provider at 127.0.0.1:PORT{after}")
}

/// Writes files into a folder.
fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, content) in files {
        std::fs::write(folder.join(name), content).expect("a file");
    }
}

fn lines(ids: std::ops::Range<usize>) -> String {
    ids.map(|id| line(id) + "\n").collect()
}

/// A line of an output, as a run writes it; with the code and the message of a failure, or without one.
fn output_line(id: &str, failure: Option<(&str, &str)>) -> String {
    let error = failure.map(|(code, message)| serde_json::json!({"code": code, "message": message}));
    let outbound = serde_json::json!({"line": 1, "request": "00000000000000ab"});
    serde_json::json!({"custom_id": id, "response": Value::Null, "error": error, "outbound": outbound})
        .to_string()
        + "\n"
}

#[test]
fn wrong_options() {
    let folder = folder();
    let here = folder.path();
    write(
        here,
        &[("in.jsonl", &lines(0..3)), ("prices.json", r#"{"m": {"input": 1}}"#), ("empty.txt", "\n")],
    );
    let commands: [&[&str]; 25] = [
        &["run"],
        &["ruin", "in.jsonl"],
        &["run", "in.jsonl", "--rpm", "0"],
        &["run", "in.jsonl", "--concurrency", "many"],
        &["run", "in.jsonl", "--deadline", "soon"],
        &["run", "in.jsonl", "--deadline", "3d"],
        &["run", "in.jsonl", "--provider", "opneai"],
        &["run", "in.jsonl", "--budget", "5eur", "--prices", "prices.json"],
        &["run", "in.jsonl", "--budget", "5"],
        &["run", "in.jsonl", "--prices", "prices.json", "--base-url", NOBODY],
        &["run", "in.jsonl", "--simulate", "--base-url", NOBODY],
        &["run", "--simulate", "-"],
        &["run", "in.jsonl", "--retries", "3"],
        &["run", "in.jsonl", "--api-key", "sk-abcdefgh"],
        &["run", "in.jsonl", "--key-env", "sk-abcdefgh"],
        &["run", "in.jsonl", "--key-env", "NOT_SET"],
        &["run", "in.jsonl", "--key-file", "none.txt"],
        &["run", "in.jsonl", "--key-file", "empty.txt"],
        &["run", "in.jsonl", "--key-command", "exit 3"],
        &["run", "in.jsonl"],
        &["run", "in.jsonl", "--base-url", "nowhere"],
        &["run", "in.jsonl", "--simulate", "-o", "./in.jsonl"],
        &["run", "in.jsonl", "--simulate", "--summary", "in.jsonl"],
        &["run", "in.jsonl", "--simulate", "--html", "none/report.html"],
        &["run", "-", "--sample", "3", "--base-url", NOBODY],
    ];
    let shown: Vec<_> = commands.into_iter().map(|arguments| shown(here, arguments)).collect();
    assert!(shown.iter().all(|shown| shown.ends_with("[exit code 2]\n")), "{shown:?}");
    insta::assert_snapshot!("wrong_options", shown.join("\n"));
}

#[test]
fn a_wrong_file_of_options() {
    let folder = folder();
    let here = folder.path();
    let files = ["[run]\nrpms = 5\n", "[runs]\n", "rpm = 5\n", "[run]\nrpm = \n", "[run]\nkeep-going = 1\n"];
    let shown = files.map(|file| {
        write(here, &[("outbound.toml", file)]);
        format!("{}\n{}", file.trim_end(), shown(here, &["run", "in.jsonl", "--simulate"]))
    });
    insta::assert_snapshot!("wrong_option_file", shown.join("\n"));
}

#[test]
fn wrong_inputs() {
    let folder = folder();
    let here = folder.path();
    let good = lines(0..3);
    write(
        here,
        &[
            ("no-json.jsonl", &format!("{good}Name a river.\n")),
            ("twice.jsonl", &format!("{good}{}\n", line(1))),
            ("no-model.jsonl", "{\"prompt\": \"Name a river.\"}\n"),
            ("no-column.csv", "question\nWhy?\n"),
            ("packed.jsonl", "\u{1f}\u{fffd}"),
            ("in.jsonl", &good),
        ],
    );
    std::fs::write(here.join("packed.jsonl"), b"\x1f\x8b\x08").expect("a file");
    std::fs::write(here.join("latin.jsonl"), b"{\"prompt\": \"caf\xe9\"}\n").expect("a file");
    let commands: [&[&str]; 8] = [
        &["run", "none.jsonl", "--simulate"],
        &["run", "no-json.jsonl", "--simulate"],
        &["run", "twice.jsonl", "--simulate"],
        &["run", "no-model.jsonl", "--simulate"],
        &["run", "no-column.csv", "--simulate", "--model", "m"],
        &["run", "packed.jsonl", "--simulate"],
        &["run", "latin.jsonl", "--simulate", "--model", "m"],
        &["run", "in.jsonl", "--simulate", "--system", "Be brief."],
    ];
    let shown: Vec<_> = commands.into_iter().map(|arguments| shown(here, arguments)).collect();
    assert!(shown.iter().all(|shown| shown.ends_with("[exit code 3]\n")), "{shown:?}");
    insta::assert_snapshot!("wrong_inputs", shown.join("\n"));
}

#[test]
fn wrong_outputs() {
    let folder = folder();
    let here = folder.path();
    write(
        here,
        &[
            ("in.jsonl", &lines(0..3)),
            ("other.jsonl", &lines(10..13)),
            ("changed.jsonl", &lines(0..3).replace("What is 1", "What was 1")),
            ("paid.jsonl", "paid for\n"),
        ],
    );
    let first = shown(here, &["run", "in.jsonl", "--simulate", "-o", "out.jsonl", "-q"]);
    assert!(first.ends_with("\n[exit code 0]\n"), "{first}");
    let commands: [&[&str]; 7] = [
        &["run", "in.jsonl", "--simulate", "-o", "paid.jsonl"],
        &["run", "in.jsonl", "--simulate", "-o", "none/out.jsonl"],
        &["run", "in.jsonl", "--simulate", "-o", "."],
        &["run", "in.jsonl", "--simulate", "-o", "out.jsonl"],
        &["run", "other.jsonl", "--simulate", "-o", "out.jsonl"],
        &["run", "changed.jsonl", "--simulate", "-o", "out.jsonl"],
        &["run", "in.jsonl", "--simulate", "-o", "out.jsonl", "--fresh", "--limit", "none"],
    ];
    let shown: Vec<_> = commands.into_iter().map(|arguments| shown(here, arguments)).collect();
    insta::assert_snapshot!("wrong_outputs", shown.join("\n"));
}

#[test]
fn check_and_plan() {
    let folder = folder();
    let here = folder.path();
    let prompts = "{\"prompt\": \"Why?\", \"model\": \"large-2026\"}\n";
    let wrong: String = (0..22).map(|number| format!("wrong {number}\n")).collect();
    write(
        here,
        &[
            ("in.jsonl", &(lines(0..60) + prompts)),
            ("wrong.jsonl", &(lines(0..3) + &wrong)),
            ("prices.json", r#"{"large": {"input": 0, "output": 1000, "request": 2}}"#),
        ],
    );
    let commands: [&[&str]; 6] = [
        &["check", "in.jsonl"],
        &["check", "wrong.jsonl"],
        &["plan", "in.jsonl"],
        &["plan", "in.jsonl", "--rpm", "10"],
        &["plan", "in.jsonl", "--rpm", "10", "--tpm", "100", "--prices", "prices.json"],
        &["plan", "wrong.jsonl"],
    ];
    insta::assert_snapshot!("check_and_plan", commands.map(|arguments| shown(here, arguments)).join("\n"));
}

#[test]
fn status() {
    let folder = folder();
    let here = folder.path();
    let refused = Some(("rejected", "status 422: the request is not valid"));
    let whole = output_line("a", None) + &output_line("b", refused) + &output_line("c", None);
    let cut = &whole[..whole.len() - 20];
    write(
        here,
        &[
            ("out.jsonl", &whole),
            ("cut.jsonl", cut),
            ("in.jsonl", &lines(0..2)),
            ("other.jsonl", &(output_line("a", None) + "{\"custom_id\":\"b\"}\n")),
        ],
    );
    let commands: [&[&str]; 7] = [
        &["status", "out.jsonl"],
        &["status", "out.jsonl", "--json"],
        &["status", "cut.jsonl"],
        &["status", "in.jsonl"],
        &["status", "other.jsonl"],
        &["status", "none.jsonl"],
        &["status", "."],
    ];
    let shown = commands.map(|arguments| shown(here, arguments)).join("\n");
    insta::assert_snapshot!("status", shown);
}

#[cfg(unix)]
#[test]
fn ctl_without_a_run() {
    let folder = folder();
    write(folder.path(), &[("out.jsonl", &output_line("a", None))]);
    let commands: [&[&str]; 3] = [
        &["ctl", "out.jsonl", "pause"],
        &["ctl", "out.jsonl", "limits"],
        &["ctl", "out.jsonl", "limits", "--rpm", "0"],
    ];
    let shown = commands.map(|arguments| shown(folder.path(), arguments)).join("\n");
    insta::assert_snapshot!("ctl_without_a_run", shown);
}

/// Only lines without times: those of the summary differ from run to run, and have a snapshot of their own.
#[tokio::test]
async fn a_refused_key_and_a_spent_quota() {
    let mut all = Vec::new();
    for (what, simulator) in [
        ("refused key", Simulator::builder().key("sk-other").build()),
        ("spent quota", Simulator::builder().fault(Refusal::quota_spent(), 1.0).build()),
    ] {
        let address = simulator.listen("127.0.0.1:0").await.expect("a port");
        let folder = folder();
        write(folder.path(), &[("in.jsonl", &lines(0..5))]);
        let base = format!("http://{address}/v1");
        let here = text(folder.path()).to_owned();
        let shown = tokio::task::spawn_blocking(move || {
            let more = ["--key-env", "KEY", "--concurrency", "1", "--progress", "none"];
            let arguments = [&["run", "in.jsonl", "--base-url", &base][..], &more].concat();
            shown(Path::new(&here), &arguments).replace(&base, "http://127.0.0.1:PORT/v1")
        });
        let shown = shown.await.expect("no panic");
        assert!(shown.ends_with("[exit code 4]\n"), "{what}: {shown}");
        let has_times = |line: &&str| {
            [" succeeded, ", "latency ", "waited ", "efficiency ", "  the first", "  slowest"]
                .iter()
                .any(|part| line.contains(part))
        };
        all.extend(shown.lines().filter(|line| !has_times(line)).map(|line| line.to_owned() + "\n"));
        simulator.shutdown().await;
    }
    insta::assert_snapshot!("refused_key_and_spent_quota", all.concat());
}
