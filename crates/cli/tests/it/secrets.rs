//! No file and no message has a key in it, also where a user gave the key to a wrong option.

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
};

use crate::support::{folder, input, outbound, said, text};

const CANARY: &str = "sk-canary-0123456789abcdef";

/// A server that repeats the key in every part of its replies.
fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    // The thread runs until the process of the test ends.
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { return };
            let mut request = Vec::new();
            let mut piece = [0; 4096];
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut piece) {
                    Ok(read @ 1..) => request.extend_from_slice(&piece[..read]),
                    _ => break,
                }
            }
            let status = ["401 Unauthorized", "400 Bad Request", "200 OK"][number % 3];
            let body = format!(
                "{{\"error\":{{\"message\":\"Incorrect API key provided: {CANARY}\",\"code\":\"invalid_{CANARY}\"}}}}"
            );
            let head =
                format!("HTTP/1.1 {status}\r\nx-request-id: {CANARY}\r\ncontent-type: application/json\r\n");
            let _ = write!(stream, "{head}connection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        }
    });
    format!("http://{address}/v1")
}

/// Collects the files below a folder that have the key in them.
fn traces(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            traces(&path, found);
        } else if String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).contains("canary") {
            found.push(path.display().to_string());
        }
    }
}

#[test]
fn no_artefact_of_a_run_holds_the_key() {
    let base = echo();
    let keys = folder();
    let file = keys.path().join("key.txt");
    std::fs::write(&file, format!("{CANARY}\n")).expect("a file");
    let command = format!("cat {}", text(&file));
    for key in [&["--key-env", "K"][..], &["--key-file", text(&file)], &["--key-command", &command]] {
        let folder = folder();
        let input = input(&folder, 12, &[]);
        let place = |name: &str| text(&folder.path().join(name)).to_owned();
        let (out, html, summary) = (place("out.jsonl"), place("report.html"), place("summary.json"));
        for progress in ["plain", "json"] {
            let mut arguments =
                vec!["run", text(&input), "-o", &out, "--base-url", &base, "--concurrency", "2"];
            arguments.extend([
                "--html",
                &html,
                "--summary",
                &summary,
                "--progress",
                progress,
                "--max-attempts",
                "2",
            ]);
            arguments.extend(["--retry-failed", "--keep-going", "--deadline", "10s"]);
            arguments.extend(key);
            let run = outbound(&arguments).env("K", CANARY).output().expect("it runs");
            assert!(matches!(run.status.code(), Some(1 | 4)), "{}", said(&run));
            assert!(!said(&run).contains("canary"), "{}", said(&run));
            assert!(run.stdout.is_empty());
            let mut found = Vec::new();
            traces(folder.path(), &mut found);
            assert!(found.is_empty(), "{found:?}");
        }
    }
}

#[test]
fn a_key_that_is_given_where_none_belongs_is_not_said() {
    let folder = folder();
    let input = input(&folder, 1, &[]);
    let input = text(&input);
    for arguments in [
        &["run", input, "--key-env", CANARY][..],
        &["run", input, "--key", CANARY],
        &["run", input, "--api-key=canary-without-a-beginning"],
        &["run", CANARY],
        &["run", input, "--rpm", CANARY],
        &["run", input, "--base-url", CANARY],
        &["run", input, "--key-file", CANARY],
        &["run", input, "--ca", CANARY, "--key-env", "K"],
        &["run", input, "-o", CANARY, "--simulate", "--key-env", CANARY],
        &["sim", "--port", CANARY],
        &[CANARY],
    ] {
        let run = outbound(arguments).current_dir(folder.path()).env("K", "x").output().expect("it runs");
        assert!(matches!(run.status.code(), Some(2 | 3)), "{arguments:?}: {}", said(&run));
        assert!(!said(&run).contains("canary"), "{}", said(&run));
        assert!(!String::from_utf8_lossy(&run.stdout).contains("canary"));
    }
}

#[test]
fn what_gives_no_key_says_why() {
    let folder = folder();
    let input = input(&folder, 1, &[]);
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "\n").expect("a file");
    for (more, says) in [
        (&["--key-file", "no-such-file"][..], "--key-file no-such-file: "),
        (&["--key-file", text(&empty)], "has no key in it"),
        (&["--key-command", "exit 3"], "--key-command ended with exit status: 3"),
        (&["--key-command", "true"], "--key-command has no key in it"),
        (&["--key-env", "NOT_THERE"], "the environment variable NOT_THERE is not set"),
        (&["--key-env", "K,NOT_THERE"], "the environment variable NOT_THERE is not set"),
    ] {
        let run = outbound(&[&["run", text(&input)], more].concat()).env("K", "k").output().expect("it runs");
        assert_eq!(run.status.code(), Some(2), "{}", said(&run));
        assert!(said(&run).contains(says), "{}", said(&run));
    }
}
