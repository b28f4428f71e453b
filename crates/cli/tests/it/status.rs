//! `outbound status`: what it prints for a finished, a killed and a damaged output. It changes nothing.

use std::{path::Path, time::Duration};

use outbound_simulator::{Latency, Refusal, Simulator};
use serde_json::Value;

use crate::support::{Running, folder, input, outbound, received, said, text};

fn status(path: &Path) -> Value {
    let run = outbound(&["status", text(path), "--json"]).output().expect("it runs");
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    serde_json::from_slice(&run.stdout).expect("an object of JSON")
}

fn in_words(path: &Path) -> String {
    let run = outbound(&["status", text(path)]).output().expect("it runs");
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    String::from_utf8(run.stdout).expect("text")
}

fn refused(path: &Path) -> String {
    let run = outbound(&["status", text(path)]).output().expect("it runs");
    assert_eq!((run.status.code(), run.stdout.len()), (Some(3), 0), "{}", said(&run));
    said(&run)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_run_is_told_by_its_output_or_its_input() {
    let refuse = Refusal::status(422);
    let simulator = Simulator::builder()
        .fault_when(move |seen| (seen.sequence < 3).then(|| refuse.clone().into()))
        .build();
    let address = simulator.listen("127.0.0.1:0").await.expect("a port");
    let (folder, base) = (folder(), format!("http://{address}/v1"));
    let input = input(&folder, 40, &[]);
    assert!(refused(&input).contains("its default output"), "not begun");
    let run = outbound(&["run", text(&input), "--base-url", &base]).output().expect("it runs");
    assert_eq!(run.status.code(), Some(1), "{}", said(&run));
    let output = folder.path().join("in.results.jsonl");
    for path in [&input, &output] {
        let status = status(path);
        assert_eq!((&status["answered"], &status["failed"]), (&37.into(), &3.into()), "{status}");
        assert_eq!(status["sent_without_answer"], 0, "{status}");
        assert_eq!(status["failures"][0]["count"], 3, "{status}");
        assert!(
            status["failures"][0]["message"].as_str().is_some_and(|said| said.contains("422")),
            "{status}"
        );
    }
    assert!(in_words(&output).contains("37 answered, 3 failed\n  3 "));
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_says_what_may_have_been_billed_and_nothing_is_changed() {
    let simulator = Simulator::builder().latency(Latency::fixed(Duration::from_secs(20))).build();
    let address = simulator.listen("127.0.0.1:0").await.expect("a port");
    let (folder, base) = (folder(), format!("http://{address}/v1"));
    let (input, output) = (input(&folder, 20, &[]), folder.path().join("out.jsonl"));
    let arguments = ["run", text(&input), "-o", text(&output), "--base-url", &base, "--concurrency", "8"];
    let run = Running::start(outbound(&arguments));
    received(&simulator, 8).await;
    assert_eq!(status(&output)["sent_without_answer"], 8, "while it is at work");
    run.kill();
    let journal = || {
        let files = std::fs::read_dir(folder.path().join("out.jsonl.state")).expect("the state");
        let mut files: Vec<_> = files
            .map(|file| file.expect("a file").path())
            .filter(|path| path.is_file())
            .map(|path| (std::fs::read(&path).expect("its bytes"), path))
            .collect();
        files.sort();
        files
    };
    let before = journal();
    let status = status(&output);
    assert_eq!((&status["sent_without_answer"], &status["answered"]), (&8.into(), &0.into()), "{status}");
    assert!(in_words(&output).contains("8 sent without an answer: they may have been billed"));
    assert_eq!(journal(), before);
    simulator.shutdown().await;
}

#[test]
fn a_torn_line_is_no_error_and_a_foreign_one_is_named() {
    let folder = folder();
    let path = folder.path().join("out.jsonl");
    let line = r#"{"id":"x","custom_id":"a","response":null,"error":null,"outbound":{"request":"00000000000000ab"}}"#;
    std::fs::write(&path, format!("{line}\n\n{}", &line[..60])).expect("a file");
    let found = status(&path);
    assert_eq!((&found["answered"], &found["is_torn"]), (&1.into(), &true.into()), "{found}");
    std::fs::write(&path, format!("{line}\n{{\"custom_id\":\"b\"}}\n")).expect("a file");
    assert!(refused(&path).contains("out.jsonl, line 2: this is no answer"), "{}", refused(&path));
    std::fs::write(&path, "hello\n").expect("a file");
    assert!(refused(&path).contains("out.jsonl, line 1"), "{}", refused(&path));
    assert!(refused(&folder.path().join("no.jsonl")).contains("no.jsonl"));
    assert!(refused(folder.path()).contains("is no regular file"));
}
