//! What the tests share: the command, its input and output, and a process that ends with its test.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use outbound_simulator::Simulator;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The command, with no key and no proxy in its environment.
pub(crate) fn outbound(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outbound"));
    command.args(arguments).env_remove("OPENAI_API_KEY").env_remove("ANTHROPIC_API_KEY");
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command
}

/// A command at work. It is killed when this is dropped, so that a test that fails leaves no process behind.
pub(crate) struct Running(Option<Child>);

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        Self(Some(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts")))
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        self.0.as_mut().expect("it is at work")
    }

    pub(crate) fn kill(mut self) {
        self.child().kill().expect("it is killed");
        self.child().wait().expect("it ended");
    }

    pub(crate) fn end(mut self) -> Output {
        let child = self.0.take().expect("it is at work");
        tokio::task::block_in_place(|| child.wait_with_output()).expect("it ends")
    }
}

/// Returns when the server has received this many requests.
pub(crate) async fn received(simulator: &Simulator, requests: usize) {
    until(|| simulator.ledger().sends() >= requests).await;
}

/// Returns when the condition holds, and panics if that takes more than 20 seconds.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..4_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the condition did not hold within 20 seconds");
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder for the test")
}

/// A line of a batch file.
pub(crate) fn line(id: usize) -> String {
    let messages = json!([{"role": "user", "content": format!("What is {id} and {id}?")}]);
    let body = json!({"model": "m", "messages": messages, "max_tokens": 32, "stream": id.is_multiple_of(3)});
    json!({"custom_id": format!("r{id}"), "method": "POST", "url": "/v1/chat/completions", "body": body})
        .to_string()
}

/// Writes a file with this many lines, and then the lines in `more`.
pub(crate) fn input(folder: &TempDir, lines: usize, more: &[&str]) -> PathBuf {
    let mut text: String = (0..lines).map(|id| line(id) + "\n").collect();
    for line in more {
        text += line;
        text += "\n";
    }
    let path = folder.path().join("in.jsonl");
    std::fs::write(&path, text).expect("a file in it");
    path
}

/// The lines of an output file.
pub(crate) fn answers(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

pub(crate) fn ids(answers: &[Value]) -> Vec<&str> {
    let mut ids: Vec<_> = answers.iter().filter_map(|answer| answer["custom_id"].as_str()).collect();
    ids.sort_unstable();
    ids
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path of plain characters")
}
