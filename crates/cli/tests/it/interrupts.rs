//! ctrl-c: interrupt loses the queue and the progress.
#![cfg(unix)]

use std::{
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
    // Not before the first answers are on their way.
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
    let ended = tokio::task::spawn_blocking(move || {
        let deadline = std::time::SystemTime::now() + Duration::from_secs(5);
        loop {
            if let Ok(Some(status)) = child.try_wait() {
                return status.code();
            }
            if std::time::SystemTime::now() > deadline {
                let _ = child.kill();
                return None;
            }
            std::thread::yield_now();
        }
    });
    assert_eq!(ended.await.expect("no panic"), Some(130));
    drop(stdin);
    simulator.shutdown().await;
}
