//! `check` and `plan`: they send nothing and need no key.

use std::process::{Output, Stdio};

use crate::support::{folder, input, outbound, said, text};

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What `check` and `plan` print is a snapshot in `messages.rs`.
#[test]
fn an_input_may_be_empty_or_missing() {
    let empty = outbound(&["check", "-"]).stdin(Stdio::null()).output().expect("it runs");
    assert_eq!(
        (empty.status.code(), told(&empty).as_str()),
        (Some(0), "lines  0 (nothing)\ntokens about 0 in, up to 0 out\n")
    );
    let none = outbound(&["check", "no-such-file"]).output().expect("it runs");
    assert_eq!(none.status.code(), Some(3));
}

/// The body of a line is read in the format of the provider.
#[test]
fn check_goes_by_the_provider() {
    let folder = folder();
    let file = folder.path().join("in.jsonl");
    std::fs::write(&file, r#"{"method":"PUT","url":"/x","body":"text"}"#).expect("a file in it");
    for (provider, code) in [("http", 0), ("openai", 3), ("anthropic", 3)] {
        let check = outbound(&["check", text(&file), "--provider", provider]).output().expect("it runs");
        assert_eq!(check.status.code(), Some(code), "{provider}: {}", told(&check));
    }
}

#[test]
fn a_plan_is_of_the_lines_that_are_read_and_writes_nothing() {
    let folder = folder();
    let file = input(&folder, 60, &[r#"{"prompt":"Why?","model":"other"}"#]);
    let plan = |more: &[&str]| {
        let plan = outbound(&[&["plan", text(&file)], more].concat()).output().expect("it runs");
        assert_eq!(plan.status.code(), Some(0), "{}", said(&plan));
        told(&plan)
    };
    let requests = plan(&["--rpm", "10"]);
    assert!(requests.contains("time   at least 6 min 6 s at 10 requests a minute"), "{requests}");
    assert!(plan(&["--limit", "60", "--rpm", "10"]).contains("time   at least 6 min 0 s at"));
    let sample = plan(&["--sample", "7"]);
    assert!(sample.contains("lines  7 (") && sample == plan(&["--sample", "7"]), "{sample}");

    let run = outbound(&["run", text(&file), "--dry-run", "--rpm", "10"]).output().expect("it runs");
    assert_eq!((run.status.code(), told(&run)), (Some(0), requests));
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing was written");
}

#[test]
fn a_plan_that_cannot_be_made() {
    let folder = folder();
    let file = input(&folder, 3, &["wrong"]);
    let prices = folder.path().join("prices.json");
    std::fs::write(&prices, r#"{"m": {"input": 1}}"#).expect("a file in it");
    for (arguments, code, says) in [
        (&["plan", text(&file), "--prices", text(&prices)][..], 2, "the price of \"m\": output is missing"),
        (&["plan", text(&file), "--prices", "nowhere"], 2, "--prices nowhere: "),
        (&["plan", "-", "--sample", "3"], 2, "--sample needs a file"),
        (&["plan", text(&file), "--sample", "3", "--limit", "3"], 2, "cannot be used with"),
    ] {
        let plan = outbound(arguments).stdin(Stdio::null()).output().expect("it runs");
        assert_eq!(plan.status.code(), Some(code), "{arguments:?}: {}", said(&plan));
        assert!(said(&plan).contains(says), "{arguments:?}: {}", said(&plan));
    }
    // The wrong line is not read.
    let plan = outbound(&["plan", text(&file), "--limit", "3"]).output().expect("it runs");
    assert_eq!(plan.status.code(), Some(0), "{}", said(&plan));
}

/// One rule for every command whose result is a text: if its result cannot be written, it has failed.
#[cfg(target_os = "linux")]
#[test]
fn a_standard_output_that_is_full_or_has_no_reader_is_6() {
    let folder = folder();
    let file = input(&folder, 3, &[]);
    let output = folder.path().join("out.jsonl");
    std::fs::write(&output, "").expect("a file");
    for arguments in [
        &["check", text(&file)][..],
        &["plan", text(&file)],
        &["status", text(&output)],
        &["status", text(&output), "--json"],
        &["completions", "bash"],
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("a full disk");
        let (reader, without_reader) = std::io::pipe().expect("a pipe");
        drop(reader);
        for (stdout, why) in
            [(Stdio::from(full), "No space left"), (Stdio::from(without_reader), "Broken pipe")]
        {
            let run = outbound(arguments).stdout(stdout).output().expect("it runs");
            assert_eq!(run.status.code(), Some(6), "{arguments:?}: {}", said(&run));
            let line = format!("outbound: standard output: {why}");
            assert!(said(&run).starts_with(&line) && !said(&run).contains("panic"), "{}", said(&run));
        }
    }
}

/// A run of a part of a file sends only that part.
#[test]
fn a_run_of_some_lines() {
    let folder = folder();
    let file = input(&folder, 40, &["wrong"]);
    let out = folder.path().join("out.jsonl");
    let run = outbound(&["run", "--simulate", text(&file), "-o", text(&out), "--limit", "5"])
        .output()
        .expect("it runs");
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let answers = crate::support::answers(&out);
    assert_eq!(crate::support::ids(&answers), ["r0", "r1", "r2", "r3", "r4"]);
}
