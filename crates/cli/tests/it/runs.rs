//! Whole runs, the server of `outbound sim`, and the scripts of `outbound completions`.

use std::{
    io::{Read, Write},
    process::Stdio,
};

use outbound_simulator::{Refusal, Simulator};

use crate::support::{answers, folder, ids, input, line, outbound, said, text};

#[test]
fn simulate_answers_every_line_once() {
    let folder = folder();
    let input = input(&folder, 150, &[]);
    let run = outbound(&["run", "--simulate", text(&input)]).output().expect("it runs");
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let answers = answers(&folder.path().join("in.simulated.jsonl"));
    let found = ids(&answers);
    assert_eq!(found.len(), 150);
    let mut expected: Vec<_> = (0..150).map(|id| format!("r{id}")).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
    for answer in &answers {
        assert_eq!(answer["response"]["status_code"], 200);
        assert_eq!(answer["response"]["body"]["object"], "chat.completion");
        assert!(answer["error"].is_null());
        assert!(answer["outbound"]["charged"].as_u64().is_some_and(|charged| charged <= 5));
        let keys: Vec<_> = answer.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys.len(), 5, "nothing beside the batch format but one key: {keys:?}");
    }
    assert!(said(&run).contains("requests and") && said(&run).contains("150 succeeded, 0 failed"));
}

#[tokio::test]
async fn standard_input_to_standard_output_over_a_base_url() {
    let simulator = Simulator::builder().key("k").build();
    let address = simulator.listen("127.0.0.1:0").await.expect("a port");
    // The `/v1` of the lines is sent once, with or without it in the base URL.
    for base in [format!("http://{address}/v1"), format!("http://{address}")] {
        let run = tokio::task::spawn_blocking(move || {
            let mut child = outbound(&["run", "-", "--base-url", &base, "--key-env", "MY_KEY", "--quiet"])
                .env("MY_KEY", "k")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("it starts");
            let mut stdin = child.stdin.take().expect("a pipe");
            for id in 0..20 {
                writeln!(stdin, "{}", line(id)).expect("it reads");
            }
            drop(stdin);
            child.wait_with_output().expect("it ends")
        });
        let run = run.await.expect("no panic");
        assert_eq!((run.status.code(), said(&run).as_str()), (Some(0), ""));
        assert_eq!(String::from_utf8_lossy(&run.stdout).lines().count(), 20);
    }
    let paths = simulator.ledger().entries().iter().all(|entry| entry.seen.path == "/v1/chat/completions");
    assert!(paths && simulator.ledger().answered() == 40);
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_failure_is_a_line_with_its_reply_and_a_code() {
    let refuse = |seen: &outbound_simulator::Seen| (seen.sequence == 1).then(|| Refusal::status(400).into());
    let simulator = Simulator::builder().fault_when(refuse).build();
    let address = simulator.listen("127.0.0.1:0").await.expect("a port");
    let folder = folder();
    let input = input(&folder, 4, &[]);
    let output = folder.path().join("out.jsonl");
    let base = format!("http://{address}/v1");
    let run = {
        let (input, output) = (text(&input).to_owned(), text(&output).to_owned());
        tokio::task::spawn_blocking(move || {
            outbound(&["run", &input, "-o", &output, "--base-url", &base]).output()
        })
    };
    let run = run.await.expect("no panic").expect("it runs");
    assert_eq!(run.status.code(), Some(1));
    let answers = answers(&output);
    assert_eq!(ids(&answers), ["r0", "r1", "r2", "r3"]);
    let failed: Vec<_> = answers.iter().filter(|answer| !answer["error"].is_null()).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["error"]["code"], "rejected");
    assert_eq!(failed[0]["response"]["status_code"], 400);
    assert!(failed[0]["response"]["body"]["error"].is_object());
    simulator.shutdown().await;
}

/// The options of a line in its member `outbound`: order, time, attempts and fallbacks.
#[tokio::test]
async fn a_line_may_have_options_of_its_own() {
    let gone = |seen: &outbound_simulator::Seen| {
        (seen.model.as_deref() == Some("gone")).then(|| Refusal::status(500).into())
    };
    // The answers to the first five lines take 0.2 s, 0.4 s and so on, so that the next requests are sent one by one.
    let simulator = Simulator::builder().output_tokens(999..=999).tokens_per_second(100.0).fault_when(gone);
    let simulator = simulator.build();
    let address = simulator.listen("127.0.0.1:0").await.expect("a port");
    let folder = folder();
    let with = |id: &str, model: &str, tokens: usize, options: &str| {
        let messages = r#"[{"role":"user","content":"Hi."}]"#;
        let body = format!(r#"{{"model":"{model}","messages":{messages},"max_tokens":{tokens}}}"#);
        let url = "/v1/chat/completions";
        format!(r#"{{"custom_id":"{id}","url":"{url}","body":{body},"outbound":{options}}}"#)
    };
    let of_a = |id: usize| with(&format!("a{id}"), "m", 20 * (id + 1), r#"{"tenant":"a"}"#);
    let mut lines: Vec<_> = (0..7).map(of_a).collect();
    lines.extend([
        with("of-b", "m", 21, r#"{"tenant":"b"}"#),
        with("first", "m", 22, r#"{"tenant":"a","priority":1}"#),
        with("gone", "gone", 23, r#"{"tenant":"a","max_attempts":1,"fallback":["other"]}"#),
        with("hasty", "m", 24, r#"{"tenant":"a","deadline":0.1}"#),
    ]);
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let input = input(&folder, 0, &lines);
    let output = folder.path().join("out.jsonl");
    let base = format!("http://{address}/v1");
    let run = {
        let (input, output) = (text(&input).to_owned(), text(&output).to_owned());
        let arguments = ["run", &input, "-o", &output, "--base-url", &base, "--concurrency", "5"];
        let arguments = arguments.map(String::from);
        tokio::task::spawn_blocking(move || outbound(&arguments.each_ref().map(String::as_str)).output())
    };
    let run = run.await.expect("no panic").expect("it runs");
    assert_eq!(run.status.code(), Some(1), "{}", said(&run));
    let answers = answers(&output);
    let answer = |id: &str| answers.iter().find(|answer| answer["custom_id"] == id).expect("an answer");
    assert_eq!(answer("gone")["response"]["body"]["model"], "other", "{}", said(&run));
    assert_eq!(answer("hasty")["error"]["code"], "deadline");
    assert_eq!(answers.iter().filter(|answer| answer["error"].is_null()).count(), 10);
    let ledger = simulator.ledger();
    let of_one_model = ledger.entries().iter().filter(|entry| entry.seen.model.as_deref() == Some("m"));
    let sent: Vec<_> = of_one_model.map(|entry| entry.output_tokens).collect();
    // By then five more lines were read. The highest priority is sent first, then the tenants take turns.
    assert!(sent[5] == 22 && sent[6..8].contains(&21), "{sent:?}");
    simulator.shutdown().await;
}

#[test]
fn the_proxy_of_the_environment_is_used_but_for_the_simulator() {
    let folder = folder();
    let input = input(&folder, 1, &[]);
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", proxy.local_addr().expect("its address"));
    let served = std::thread::spawn(move || {
        let (mut stream, _) = proxy.accept()?;
        let mut request = Vec::new();
        let mut piece = [0; 4096];
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            let read = stream.read(&mut piece)?;
            request.extend_from_slice(&piece[..read]);
        }
        let body = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#;
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())?;
        std::io::Result::Ok(String::from_utf8_lossy(&request).into_owned())
    });
    let base =
        ["run", text(&input), "--fresh", "--base-url", "http://far-away.invalid/v1", "--deadline", "20s"];
    let run = outbound(&base).env("HTTP_PROXY", &url).output().expect("it runs");
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let request = served.join().expect("no panic").expect("a request");
    assert!(
        request.starts_with("POST http://far-away.invalid/v1/chat/completions HTTP/1.1\r\n"),
        "{request}"
    );

    // The proxy is closed now.
    let run =
        outbound(&["run", text(&input), "--simulate"]).env("http_proxy", &url).output().expect("it runs");
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let run = outbound(&base).env("http_proxy", "gopher://x").output().expect("it runs");
    assert_eq!(run.status.code(), Some(2));
    assert!(said(&run).contains("`http_proxy` names a proxy that cannot be used"), "{}", said(&run));
}

#[test]
fn a_proxy_that_refuses_stops_the_run_before_its_deadline() {
    let folder = folder();
    let input = input(&folder, 20, &[]);
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://user:canary@{}", proxy.local_addr().expect("its address"));
    // The thread runs until the process of the test ends.
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = proxy.accept() {
            let _ = stream.read(&mut [0; 4096]);
            let _ =
                stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let run = ["run", text(&input), "--base-url", "https://far-away.invalid/v1", "--deadline", "60s"];
    let run = outbound(&run).env("https_proxy", url).output().expect("it runs");
    assert_eq!(run.status.code(), Some(5), "{}", said(&run));
    let said = said(&run);
    assert!(said.contains("answered CONNECT with 407 Proxy Authentication Required"), "{said}");
    assert!(said.contains("not sent: 20") && !said.contains("canary"), "{said}");
}

/// A scenario of an incident, served over a socket.
#[test]
fn a_scenario_is_served() {
    let folder = folder();
    let scenario = folder.path().join("scenario.toml");
    let text_of = "story = \"each connection is closed at once\"\n[workload]\nrequests = 20\n[server]\n\
        latency = \"50ms\"\nclose_idle_after = \"1ms\"\n[expect]\nanswered = 20\n";
    std::fs::write(&scenario, text_of).expect("a file");
    let mut server = outbound(&["sim", "--scenario", text(&scenario)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut first = [0; 64];
    let read = server.stdout.as_mut().expect("a pipe").read(&mut first).expect("an address");
    let base = String::from_utf8_lossy(&first[..read]).trim().to_owned();
    let input = input(&folder, 20, &[]);
    let output = folder.path().join("out.jsonl");
    let run =
        outbound(&["run", text(&input), "-o", text(&output), "--base-url", &base]).output().expect("it runs");
    server.kill().expect("it ends");
    let served = server.wait_with_output().expect("it ended");
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert_eq!(answers(&output).len(), 20);
    let says = "each connection is closed at once; for 20 requests, of which 20 should be answered";
    assert!(said(&served).contains(says), "{}", said(&served));

    std::fs::write(&scenario, "story = \"x\"\n[workload]\nrequests = \"many\"\n[expect]\n").expect("a file");
    let wrong = outbound(&["sim", "--scenario", text(&scenario)]).output().expect("it runs");
    assert_eq!(wrong.status.code(), Some(3));
    assert!(said(&wrong).contains("line 3") && said(&wrong).contains("requests"), "{}", said(&wrong));
}

#[test]
fn shells_can_complete_it() {
    for (shell, says) in
        [("bash", "--retry-failed"), ("zsh", "#compdef outbound"), ("fish", "complete -c outbound")]
    {
        let script = outbound(&["completions", shell]).output().expect("it runs");
        assert_eq!(script.status.code(), Some(0));
        assert!(String::from_utf8_lossy(&script.stdout).contains(says), "{shell}");
    }
}
