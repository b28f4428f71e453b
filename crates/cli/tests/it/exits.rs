//! Errors and their exit codes.

use outbound_simulator::{Refusal, Simulator};

use crate::support::{answers, folder, ids, input, line, outbound, said, text};

/// The messages are snapshots in `messages.rs`.
#[test]
fn bad_input_sends_nothing() {
    for more in ["{\"custom_id\": 7}", "not JSON", &line(1)] {
        let folder = folder();
        let input = input(&folder, 3, &[more]);
        let run = outbound(&["run", "--simulate", text(&input)]).output().expect("it runs");
        assert_eq!(run.status.code(), Some(3));
        assert!(said(&run).contains("in.jsonl, line 4: "), "{}", said(&run));
        assert!(!folder.path().join("in.simulated.jsonl").exists(), "found before anything was paid for");
    }
}

#[tokio::test]
async fn a_wrong_key_and_a_spent_quota_are_4() {
    for (simulator, hint) in [
        (Simulator::builder().key("right").build(), "\nthe key was refused, or none was sent: "),
        (Simulator::builder().fault(Refusal::quota_spent(), 1.0).build(), "\nthe quota is used up: "),
    ] {
        let address = simulator.listen("127.0.0.1:0").await.expect("a port");
        let folder = folder();
        let input = input(&folder, 30, &[]);
        let output = folder.path().join("out.jsonl");
        let (input, out) = (text(&input).to_owned(), text(&output).to_owned());
        let run = tokio::task::spawn_blocking(move || {
            let base = format!("http://{address}/v1");
            let arguments =
                ["run", &input, "-o", &out, "--base-url", &base, "--key-env", "MY_KEY", "--concurrency", "2"];
            outbound(&arguments).env("MY_KEY", "sk-canary").output()
        });
        let run = run.await.expect("no panic").expect("it runs");
        assert_eq!(run.status.code(), Some(4), "{}", said(&run));
        let answers = answers(&output);
        // One request is refused. A second one, in flight or sent after it, confirms that. The others are not sent.
        let sends = simulator.ledger().sends();
        assert_eq!(ids(&answers).len(), sends, "what was sent has its line, and nothing else");
        assert!(sends <= 4, "{sends} sends");
        let not_sent = format!("not sent: {}", 30 - sends);
        assert!(said(&run).contains("stopped: ") && said(&run).contains(&not_sent), "{}", said(&run));
        assert!(said(&run).contains(hint), "{}", said(&run));
        let written = std::fs::read_to_string(&output).expect("the output");
        assert!(!written.contains("canary") && !said(&run).contains("canary"));
        simulator.shutdown().await;
    }
}

#[test]
fn an_output_that_cannot_be_written_is_6() {
    let folder = folder();
    let input = input(&folder, 3, &[]);
    let occupied = folder.path().join("paid.jsonl");
    std::fs::write(&occupied, "paid for\n").expect("a file");
    let nowhere = folder.path().join("no/such/folder/out.jsonl");
    for output in [&occupied, &nowhere, &folder.path().to_path_buf()] {
        let run =
            outbound(&["run", "--simulate", text(&input), "-o", text(output)]).output().expect("it runs");
        assert_eq!(run.status.code(), Some(6), "{}", said(&run));
    }
    assert_eq!(std::fs::read_to_string(&occupied).expect("still there"), "paid for\n");
}

/// The bug this guards against (disk-full): answers cannot be written, and the run goes on and pays for more.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_the_run() {
    let folder = folder();
    let input = input(&folder, 200, &[]);
    let started = std::time::SystemTime::now();
    let run = outbound(&["run", "--simulate", text(&input), "-o", "/dev/full"]).output().expect("it runs");
    assert_eq!(run.status.code(), Some(6), "{}", said(&run));
    assert!(said(&run).contains("/dev/full"));
    assert!(started.elapsed().unwrap_or_default().as_secs() < 5, "it does not go on");
}

#[test]
fn an_unreachable_address_is_said_clearly() {
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let folder = folder();
    let input = input(&folder, 3, &[]);
    let output = folder.path().join("out.jsonl");
    let base = format!("http://127.0.0.1:{port}/v1");
    let arguments = ["run", text(&input), "-o", text(&output), "--base-url", &base, "--max-attempts", "1"];
    let run = outbound(&arguments).output().expect("it runs");
    assert_eq!(run.status.code(), Some(5));
    assert!(said(&run).to_lowercase().contains("refused"), "{}", said(&run));
    assert!(answers(&output).iter().all(|answer| answer["error"]["code"] == "connection"));
}

#[test]
fn fresh_moves_nothing_for_a_run_that_cannot_begin() {
    let folder = folder();
    let input = input(&folder, 2, &[]);
    let paid = folder.path().join("paid.jsonl");
    std::fs::write(&paid, "paid for\n").expect("a file");
    let run = outbound(&["run", "typo.jsonl", "-o", text(&paid), "--fresh", "--simulate"])
        .output()
        .expect("it runs");
    assert_eq!(run.status.code(), Some(3));
    assert_eq!(std::fs::read_to_string(&paid).expect("still there"), "paid for\n");
    let before = std::fs::read_to_string(&input).expect("the input");
    let same = outbound(&["run", text(&input), "-o", text(&input), "--fresh", "--simulate"])
        .output()
        .expect("it runs");
    assert_eq!(same.status.code(), Some(2), "{}", said(&same));
    assert_eq!(std::fs::read_to_string(&input).expect("the input"), before);
}

/// The bug this guards against (key-to-stranger): the usual key is sent to any address that is given.
#[tokio::test]
async fn the_customary_key_stays_at_home() {
    let simulator = Simulator::builder().key("sk-mine").build();
    let address = simulator.listen("127.0.0.1:0").await.expect("a port");
    let folder = folder();
    let input = input(&folder, 1, &[]);
    let out = text(&folder.path().join("out.jsonl")).to_owned();
    for (named, code) in [(false, 4), (true, 0)] {
        let (input, out) = (text(&input).to_owned(), out.clone());
        let run = tokio::task::spawn_blocking(move || {
            let base = format!("http://{address}/v1");
            let mut arguments = vec!["run", &input, "-o", &out, "--fresh", "--base-url", &base];
            if named {
                arguments.extend(["--key-env", "OPENAI_API_KEY"]);
            }
            outbound(&arguments).env("OPENAI_API_KEY", "sk-mine").output()
        });
        let run = run.await.expect("no panic").expect("it runs");
        assert_eq!(run.status.code(), Some(code), "{}", said(&run));
    }
    simulator.shutdown().await;
}

/// A key that was copied with an invisible character or a line end in it. Nothing is sent with it.
#[test]
fn a_key_that_no_header_carries_is_refused_by_the_name_of_its_variable() {
    let folder = folder();
    let input = input(&folder, 1, &[]);
    for key in ["sk-a\u{200b}bc", "sk-a\nbc"] {
        let out = folder.path().join("out.jsonl");
        let arguments =
            ["run", text(&input), "-o", text(&out), "--base-url", "http://127.0.0.1:1/v1", "--key-env", "K"];
        let run = outbound(&arguments).env("K", key).output().expect("it runs");
        assert_eq!(run.status.code(), Some(2), "{}", said(&run));
        assert!(
            said(&run)
                .contains("the key in K has a character that an HTTP header cannot carry: character 5 of 7")
        );
        assert!(!said(&run).contains("sk-a"), "{}", said(&run));
    }
}

/// Also where the input is named by a link.
#[cfg(unix)]
#[test]
fn a_summary_does_not_replace_the_input() {
    let folder = folder();
    let input = input(&folder, 2, &[]);
    let before = std::fs::read_to_string(&input).expect("the input");
    let link = folder.path().join("link");
    std::fs::hard_link(&input, &link).expect("a link");
    for option in ["--summary", "--html"] {
        let run =
            outbound(&["run", text(&input), "--simulate", option, text(&link)]).output().expect("it runs");
        assert_eq!(run.status.code(), Some(2), "{}", said(&run));
        assert!(said(&run).contains("this run already uses that file"), "{}", said(&run));
    }
    assert_eq!(std::fs::read_to_string(&input).expect("the input"), before);
}
