//! Ctrl-C once and twice: what is finished, what is cut off, and that nothing keeps the process alive.
#![cfg(unix)]

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use outbound_simulator::{Latency, Simulator};

use crate::support::{answers, folder, ids, input, outbound, said, text};

pub(crate) fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()));
}

async fn interrupted(times: usize, latency: Duration) -> (i32, usize, usize) {
    let simulator = Simulator::builder().latency(Latency::fixed(latency)).build();
    let address = simulator.listen("127.0.0.1:0").await.expect("a port");
    let folder = folder();
    let input = input(&folder, 200, &[]);
    let output = folder.path().join("out.jsonl");
    let base = format!("http://{address}/v1");
    let child =
        outbound(&["run", text(&input), "-o", text(&output), "--base-url", &base, "--concurrency", "4"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
    // The interrupt comes after the first answers.
    while simulator.ledger().sends() < 8 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for _ in 0..times {
        interrupt(&child);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let run = tokio::task::spawn_blocking(move || child.wait_with_output())
        .await
        .expect("no panic")
        .expect("it ends");
    let answers = answers(&output);
    let written = ids(&answers).len();
    let code = run.status.code().unwrap_or_else(|| panic!("{}", said(&run)));
    let answered = simulator.ledger().answered();
    simulator.shutdown().await;
    (code, written, answered)
}

#[tokio::test]
async fn the_first_interrupt_finishes_what_is_under_way() {
    let (code, written, answered) = interrupted(1, Duration::from_millis(100)).await;
    assert_eq!((code, written), (130, answered), "whatever was answered was written");
    assert!((8..200).contains(&written), "{written} written");
}

#[tokio::test]
async fn the_second_interrupt_ends_at_once() {
    let (code, written, answered) = interrupted(2, Duration::from_secs(2)).await;
    assert_eq!(code, 130);
    assert!(written <= answered && answered < 20);
}

#[tokio::test]
async fn an_open_standard_input_holds_nobody() {
    let simulator = Simulator::builder().build();
    let address = simulator.listen("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{address}/v1");
    let mut child = outbound(&["run", "-", "--base-url", &base])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let stdin = child.stdin.take();
    tokio::time::sleep(Duration::from_millis(300)).await;
    interrupt(&child);
    assert_eq!(code_of(child).await, Some(130));
    drop(stdin);
    simulator.shutdown().await;
}

/// The exit code. `None` if the process does not end within 10 seconds.
async fn code_of(mut child: Child) -> Option<i32> {
    for _ in 0..500 {
        if let Ok(Some(status)) = child.try_wait() {
            return status.code();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

fn named_pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status();
    assert!(made.is_ok_and(|status| status.success()));
}

#[tokio::test]
async fn pipes_that_nobody_opens_hold_nobody() {
    let folder = folder();
    let (input, pipe) = (input(&folder, 3, &[]), folder.path().join("pipe"));
    named_pipe(&pipe);
    let other = folder.path().join("out.jsonl");
    for (input, output) in [(&pipe, &other), (&input, &pipe)] {
        // Nothing is sent: no server is at that address.
        let arguments = ["run", text(input), "-o", text(output), "--base-url", "http://127.0.0.1:9/v1"];
        let child = outbound(&arguments).stderr(Stdio::null()).spawn().expect("it starts");
        tokio::time::sleep(Duration::from_millis(500)).await;
        interrupt(&child);
        assert_eq!(code_of(child).await, Some(130), "{}", input.display());
    }
}

#[tokio::test]
async fn a_reader_who_has_stopped_holds_nobody() {
    let simulator = Simulator::builder().build();
    let address = simulator.listen("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{address}/v1");
    let folder = folder();
    let input = input(&folder, 2000, &[]);
    let mut child = outbound(&["run", text(&input), "-o", "-", "--base-url", &base])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    // The pipe is open, and nobody reads from it.
    let stdout = child.stdout.take();
    // Once the pipe is full, no more requests are sent.
    let mut sends = 0;
    while sends == 0 || sends < simulator.ledger().sends() {
        sends = simulator.ledger().sends();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(sends < 2000, "the pipe is not full");
    for _ in 0..2 {
        interrupt(&child);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(code_of(child).await, Some(130));
    drop(stdout);
    simulator.shutdown().await;
}
