//! Every form of input, from the file to the request that the server receives.

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    process::Stdio,
    thread,
};

use serde_json::Value;

use crate::support::{answers, folder, ids, outbound, said, text};

/// A request as the server received it: its first line, and its body.
type Seen = (String, String);

/// A server that answers this many requests of any kind, and then returns them. The first value is its base URL.
fn server(requests: usize) -> (String, thread::JoinHandle<Vec<Seen>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let base = format!("http://{}/v1", listener.local_addr().expect("its address"));
    let served = thread::spawn(move || {
        let seen = (0..requests).map(|_| answer(&listener));
        seen.collect::<Result<_, _>>().expect("requests")
    });
    (base, served)
}

fn answer(listener: &TcpListener) -> std::io::Result<Seen> {
    let (mut stream, _) = listener.accept()?;
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = stream.read(&mut piece)?;
        request.extend_from_slice(&piece[..read]);
        let all = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = all.split_once("\r\n\r\n") else { continue };
        let length = head.to_lowercase().split_once("content-length: ").map_or(0, |(_, rest)| {
            rest.split("\r\n").next().and_then(|length| length.parse().ok()).unwrap_or(0)
        });
        if body.len() >= length {
            let answer = r#"{"content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#;
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length";
            write!(stream, "{head}: {}\r\n\r\n{answer}", answer.len())?;
            return Ok((head_line(head_of(&all)), body.to_owned()));
        }
    }
}

fn head_of(request: &str) -> &str {
    request.lines().next().unwrap_or_default()
}

fn head_line(line: &str) -> String {
    line.trim_end_matches(" HTTP/1.1").to_owned()
}

/// Runs an input with this name and content, one request after the other. Returns what was sent, and the answers.
fn run(name: &str, input: &[u8], requests: usize, options: &[&str]) -> (Vec<Seen>, Vec<Value>) {
    let folder = folder();
    let (file, out) = (folder.path().join(name), folder.path().join("out.jsonl"));
    std::fs::write(&file, input).expect("a file in it");
    let (base, served) = server(requests);
    let always = ["run", text(&file), "-o", text(&out), "--base-url", &base, "--concurrency", "1"];
    let run = outbound(&[&always[..], options].concat()).output().expect("it runs");
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    (served.join().expect("no panic"), answers(&out))
}

/// A run that cannot begin because its input or its options are wrong: its exit code and its message.
fn refused(name: &str, input: &[u8], options: &[&str]) -> (Option<i32>, String) {
    let folder = folder();
    let file = folder.path().join(name);
    std::fs::write(&file, input).expect("a file in it");
    // No server is there. Nothing is sent.
    let always = ["run", text(&file), "--base-url", "http://127.0.0.1:1/v1"];
    let run = outbound(&[&always[..], options].concat()).output().expect("it runs");
    assert!(!Path::new(&folder.path().join("in.results.jsonl")).exists(), "nothing has begun");
    (run.status.code(), said(&run))
}

#[test]
fn a_batch_line_reaches_the_server_byte_for_byte() {
    let body =
        r#"{ "model" : "m","temperature":1.0, "messages":[{"role":"user","content":"\ud83d \u00e9"}] }"#;
    let line = format!(r#"{{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{body}}}"#);
    let (seen, answers) = run("in.jsonl", line.as_bytes(), 1, &[]);
    assert_eq!(seen, [(String::from("POST /v1/chat/completions"), body.to_owned())]);
    assert_eq!(ids(&answers), ["a"]);
    let (seen, _) = run("in.jsonl", line.as_bytes(), 1, &["--model", "n"]);
    assert_eq!(seen[0].1, body.replace(r#""m""#, r#""n""#));
}

#[test]
fn plain_text_in_utf_16_is_sent_as_prompts() {
    let input: Vec<_> =
        "\u{feff}Name a river.\r\nÉté 😀\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let (seen, answers) = run("in.txt", &input, 2, &["--model", "m", "--system", "Be brief."]);
    let contents = |body: &str| {
        let body: Value = serde_json::from_str(body).expect("JSON");
        ["/messages/0/content", "/messages/1/content"].map(|path| body.pointer(path).cloned())
    };
    let said = |prompt: &str| [Some("Be brief.".into()), Some(prompt.into())];
    assert_eq!(contents(&seen[0].1), said("Name a river."));
    assert_eq!(contents(&seen[1].1), said("Été 😀"));
    assert_eq!(seen[0].0, "POST /v1/chat/completions");
    assert_eq!(ids(&answers).len(), 2);
}

#[test]
fn a_table_with_a_template_from_a_file() {
    let folder = folder();
    let template = folder.path().join("template.txt");
    std::fs::write(&template, "Translate into {lang}:\n{prompt}\n").expect("a file in it");
    let template = format!("@{}", text(&template));
    let table = b"id,lang,word\n1,fr,river\n2,de,\"a, b\"\n";
    let options = ["--model", "m", "--column", "word", "--template", &template, "--max-tokens", "9"];
    let (seen, answers) = run("in.csv", table, 2, &options);
    assert_eq!(
        seen[1].1,
        r#"{"max_completion_tokens":9,"messages":[{"content":"Translate into de:\na, b","role":"user"}],"model":"m"}"#
    );
    assert_eq!(ids(&answers), ["1", "2"]);
    let (code, said) = refused("in.csv", table, &["--model", "m", "--template", "{langue}: {word}"]);
    assert_eq!(code, Some(3));
    assert!(
        said.contains(
            "in.csv, line 2: the template has {langue}, and the line has only {id}, {lang}, {word}"
        ),
        "{said}"
    );
}

#[test]
fn an_anthropic_batch_in_an_array() {
    let input = br#"[{"custom_id":"a","params":{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"Hi"}]}}]"#;
    let (seen, answers) = run("in.json", input, 1, &["--provider", "anthropic"]);
    let body = r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"Hi"}]}"#;
    assert_eq!(seen, [(String::from("POST /v1/messages"), body.to_owned())]);
    assert_eq!(ids(&answers), ["a"]);
    let (code, said) = refused("in.json", input, &[]);
    assert_eq!(code, Some(3));
    assert!(said.contains("in.json, element 1 (line 1): it has `params`"), "{said}");
    assert!(said.contains("`--provider anthropic`"), "{said}");
}

#[test]
fn other_methods_for_plain_http() {
    let (base, served) = server(3);
    let folder = folder();
    let (file, out) = (folder.path().join("in.jsonl"), folder.path().join("out.jsonl"));
    let lines = format!(
        "{}\n{}\n{{\"method\":\"PUT\",\"url\":\"{base}/c\",\"body\":[1,  2]}}\n",
        r#"{"method":"GET","url":"/v1/a?q=1"}"#, r#"{"method":"DELETE","url":"/v1/b"}"#
    );
    std::fs::write(&file, lines).expect("a file in it");
    let arguments = [
        "run",
        text(&file),
        "-o",
        text(&out),
        "--base-url",
        &base,
        "--provider",
        "http",
        "--concurrency",
        "1",
    ];
    let run = outbound(&arguments).output().expect("it runs");
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let seen = served.join().expect("no panic");
    let pair = |head: &str, body: &str| (head.to_owned(), body.to_owned());
    assert_eq!(seen, [pair("GET /v1/a?q=1", ""), pair("DELETE /v1/b", ""), pair("PUT /v1/c", "[1,  2]")]);
    let (code, said) = refused(
        "in.jsonl",
        br#"{"url":"https://elsewhere.invalid/v1/x","body":{}}"#,
        &["--provider", "http"],
    );
    assert_eq!(code, Some(3));
    assert!(said.contains("nor a URL below http://127.0.0.1:1/v1"), "{said}");
}

/// A line that is not a request is never sent as a prompt.
#[test]
fn what_may_be_a_mistake_is_no_prompt() {
    for line in ["Name a river.", "[\"Name a river.\"]", "\"Name a river.\"", "7"] {
        let input = format!("{{\"prompt\":\"Why?\"}}\n{line}\n");
        let (code, said) = refused("in.jsonl", input.as_bytes(), &["--model", "m"]);
        assert_eq!(code, Some(3));
        assert!(
            said.contains("in.jsonl, line 2: ") && said.contains("\na right line: {\"prompt\""),
            "{line}: {said}"
        );
    }
    let (code, said) = refused("in.jsonl", b"{\"prompt\":\"Why?\"}\n", &[]);
    assert!(
        code == Some(3) && said.contains("line 1: it names no model; name one for all lines with --model"),
        "{said}"
    );
    let repeated = b"{\"prompt\":\"a\",\"id\":\"x\"}\n\n{\"prompt\":\"b\",\"id\":\"x\"}\n";
    let (code, said) = refused("in.jsonl", repeated, &["--model", "m"]);
    assert!(
        code == Some(3) && said.contains("line 3: `custom_id` \"x\" was used before, on line 1"),
        "{said}"
    );
    for (template, says) in [("{prompt", "write `{{`"), ("@no/such/file", "--template @no/such/file: ")] {
        let (code, said) = refused("in.jsonl", b"", &["--template", template]);
        assert!(code == Some(2) && said.contains(says), "{said}");
    }
}

#[test]
fn standard_input_may_be_plain_too() {
    let (base, served) = server(2);
    let mut child = outbound(&[
        "run",
        "-",
        "--format",
        "plain",
        "--model",
        "m",
        "--base-url",
        &base,
        "--concurrency",
        "1",
    ])
    .stdin(Stdio::piped())
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .expect("it starts");
    child.stdin.take().expect("a pipe").write_all(b"Why?\nWhy?\n").expect("it reads");
    let run = child.wait_with_output().expect("it ends");
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let seen = served.join().expect("no panic");
    assert_eq!(seen[0], seen[1]);
    let lines = String::from_utf8_lossy(&run.stdout).into_owned();
    let answers: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let ids = ids(&answers);
    assert_eq!(ids[1], format!("{}-2", ids[0]));
}
