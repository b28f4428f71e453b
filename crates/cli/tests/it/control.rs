//! `outbound ctl`: commands to a run while it works, and the socket that takes them.
#![cfg(unix)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::PathBuf,
    process::Output,
    time::Duration,
};

use outbound_simulator::{Latency, Simulator};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{task::block_in_place, time::Instant};

use crate::support::{Running, answers, folder, input, outbound, received, said, text, until};

/// A server, an input and an output, for runs that are controlled while they work.
struct Job {
    simulator: Simulator,
    base: String,
    folder: TempDir,
    input: PathBuf,
    output: PathBuf,
}

impl Job {
    /// With this many lines; each answer takes `latency` milliseconds.
    async fn new(lines: usize, latency: u64) -> Self {
        let latency = Latency::fixed(Duration::from_millis(latency));
        let simulator = Simulator::builder().latency(latency).build();
        let address = simulator.listen("127.0.0.1:0").await.expect("a port");
        let folder = folder();
        let input = input(&folder, lines, &[]);
        let output = folder.path().join("out.jsonl");
        Self { simulator, base: format!("http://{address}/v1"), folder, input, output }
    }

    /// Starts a run, and returns when the server has received `sends` more requests.
    async fn start(&self, concurrency: &str, sends: usize) -> Running {
        let (before, base) = (self.sends(), &self.base);
        let arguments = [
            "run",
            text(&self.input),
            "-o",
            text(&self.output),
            "--base-url",
            base,
            "--concurrency",
            concurrency,
        ];
        let running = Running::start(outbound(&arguments));
        self.seen(before + sends).await;
        running
    }

    fn sends(&self) -> usize {
        self.simulator.ledger().sends()
    }

    async fn seen(&self, sends: usize) {
        received(&self.simulator, sends).await;
    }

    fn ctl(&self, arguments: &[&str]) -> Output {
        let arguments = [&["ctl", text(&self.output)], arguments].concat();
        block_in_place(|| outbound(&arguments).output().expect("it runs"))
    }

    fn done(&self, arguments: &[&str]) -> Value {
        let run = self.ctl(&[arguments, &["--json"]].concat());
        assert_eq!(run.status.code(), Some(0), "{arguments:?}: {}", said(&run));
        serde_json::from_slice(&run.stdout).expect("an object of JSON")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("out.jsonl.state/control")
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time");
        stream
    }

    fn reply(stream: &UnixStream) -> Value {
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).expect("a reply");
        serde_json::from_str(&line).unwrap_or_default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_sends_nothing_and_a_resume_goes_on() {
    let job = Job::new(60, 20).await;
    let run = job.start("2", 6).await;
    let mode = fs::metadata(job.socket()).expect("the socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(job.done(&["pause"])["paused"], true);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let sends = job.sends();
    assert!(sends < 60, "it was paused at work");
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(job.sends(), sends, "nothing is sent");
    let status = job.done(&["status"]);
    assert_eq!(
        (&status["status"]["in_flight"], &status["status"]["why"]["reason"]),
        (&0.into(), &"paused".into())
    );
    let told =
        block_in_place(|| outbound(&["status", text(&job.output), "--json"]).output().expect("it runs"));
    let told: Value = serde_json::from_slice(&told.stdout).expect("an object of JSON");
    assert_eq!((&told["at_work"], &told["run"]["paused"]), (&true.into(), &true.into()), "{told}");
    assert_eq!((&told["answered"], &told["sent_without_answer"]), (&sends.into(), &0.into()), "{told}");
    assert_eq!(job.done(&["resume"])["paused"], false);
    let run = run.end();
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert_eq!((answers(&job.output).len(), job.sends()), (60, 60));
    assert!(!job.socket().exists());
    let after = job.ctl(&["status"]);
    assert_eq!(after.status.code(), Some(3));
    assert!(said(&after).contains("no run is writing to it"), "{}", said(&after));
    job.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_at_once_and_wrong_ones_change_nothing() {
    let job = Job::new(400, 100).await;
    let run = job.start("1", 3).await;
    for wrong in [&["limits"][..], &["limits", "--rpm", "0"], &["limits", "--concurrency", "0"], &["faster"]]
    {
        assert_eq!(job.ctl(wrong).status.code(), Some(2), "{wrong:?}");
    }
    let refused = job.ctl(&["limits", "--concurrency", "50", "--budget", "5"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(said(&refused).contains("needs prices"), "{}", said(&refused));
    job.seen(job.sends() + 3).await;
    assert!(
        job.done(&["status"])["status"]["in_flight"].as_u64() <= Some(1),
        "not one limit of a wrong request holds"
    );
    job.done(&["limits", "--concurrency", "40"]);
    // With one request at a time these would take 30 seconds.
    let (began, before) = (Instant::now(), job.sends());
    job.seen(before + 300).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    job.done(&["limits", "--rpm", "1"]);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let sends = job.sends();
    assert!(sends < 400, "it is at work");
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(job.sends() <= sends + 1, "{} after {sends}", job.sends());
    assert_eq!(job.done(&["status"])["status"]["requests_per_minute_limit"], 1.0);
    job.done(&["drain"]);
    assert_eq!(run.end().status.code(), Some(130));
    job.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_run_ends_as_by_one_interrupt_and_goes_on_later() {
    for paused in [false, true] {
        let job = Job::new(40, 200).await;
        let run = job.start("4", 6).await;
        if paused {
            job.done(&["pause"]);
        }
        // A second drain does not stop the run at once, as a second Ctrl-C does.
        job.done(&["drain"]);
        let _ = job.ctl(&["drain"]);
        let run = run.end();
        assert_eq!(run.status.code(), Some(130), "{}", said(&run));
        let written = answers(&job.output).len();
        assert_eq!(written, job.simulator.ledger().answered(), "what was in flight was finished");
        assert!((1..40).contains(&written), "{written} written");
        let run = job.start("4", 1).await.end();
        assert_eq!(run.status.code(), Some(0), "{}", said(&run));
        assert_eq!((answers(&job.output).len(), job.sends()), (40, 40));
        job.simulator.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_clients_hold_up_nobody() {
    let job = Job::new(40, 100).await;
    let run = job.start("2", 4).await;
    for wrong in [
        "{}",
        "[]",
        "pause",
        r#"{"command":"stop"}"#,
        r#"{"command":"limits"}"#,
        r#"{"command":"limits","rps":1}"#,
    ] {
        let mut stream = job.connect();
        writeln!(stream, "{wrong}").expect("it listens");
        let reply = Job::reply(&stream);
        assert!(reply["ok"] == false && reply["error"].is_string(), "{wrong}: {reply}");
        // The same connection still works.
        writeln!(stream, r#"{{"command":"status"}}"#).expect("it listens");
        assert_eq!(Job::reply(&stream)["ok"], true, "after {wrong}");
    }
    let mut long = job.connect();
    let _ = long.write_all(&vec![b' '; (64 << 10) + 1]);
    assert!(Job::reply(&long)["error"].as_str().is_some_and(|error| error.contains("65536")));
    // A client that closes the connection inside a request.
    job.connect().write_all(b"{\"comm").expect("it listens");
    // A client that does not read its reply.
    writeln!(job.connect(), r#"{{"command":"status"}}"#).expect("it listens");
    // Without the pause, the end of the run could close the connections.
    job.done(&["pause"]);
    let mut silent: Vec<_> = (0..100).map(|_| job.connect()).collect();
    assert_eq!(job.done(&["status"])["ok"], true, "beside a hundred silent ones");
    let began = Instant::now();
    let mut end = Vec::new();
    block_in_place(|| silent[0].read_to_end(&mut end)).expect("it is closed");
    let after = began.elapsed();
    assert!(end.is_empty() && after < Duration::from_secs(8), "closed after {after:?}");
    job.done(&["resume"]);
    let run = run.end();
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert_eq!((answers(&job.output).len(), job.sends()), (40, 40));
    job.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_a_killed_run_is_replaced() {
    let job = Job::new(30, 50).await;
    job.start("2", 4).await.kill();
    assert!(job.socket().exists(), "nobody was there to remove it");
    let asked = job.ctl(&["pause"]);
    assert_eq!(asked.status.code(), Some(3), "{}", said(&asked));
    let told = block_in_place(|| outbound(&["status", text(&job.output)]).output().expect("it runs"));
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("they may have been billed") && told.contains("No run is writing to it"), "{told}");
    let run = job.start("2", 4).await;
    assert_eq!(job.done(&["status"])["ok"], true);
    assert_eq!(run.end().status.code(), Some(0));
    job.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_too_long_for_a_socket_stops_no_run() {
    let mut job = Job::new(30, 50).await;
    let deep = job.folder.path().join("d".repeat(100));
    fs::create_dir(&deep).expect("a folder");
    job.output = deep.join("out.jsonl");
    assert!(UnixListener::bind(deep.join("control")).is_err(), "it is too long");
    let run = job.start("2", 4).await;
    let asked = job.ctl(&["pause"]);
    assert_eq!(asked.status.code(), Some(3), "{}", said(&asked));
    let told = block_in_place(|| outbound(&["status", text(&job.output)]).output().expect("it runs"));
    assert!(String::from_utf8_lossy(&told.stdout).contains("It is not known whether a run is writing to it"));
    let run = run.end();
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert!(said(&run).contains("cannot be controlled with `outbound ctl`"), "{}", said(&run));
    job.simulator.shutdown().await;
}

/// A server that refuses the first request with a message that repeats the key, and never answers the others.
fn refusing() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming().take(8) {
            let mut stream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 4 << 10]);
            if held.is_empty() {
                let body = r#"{"error":{"message":"Incorrect API key provided: sk-ca***ry","code":"invalid_api_key"}}"#;
                let head = "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\nconnection: close";
                let _ = write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            }
            held.push(stream);
        }
    });
    format!("http://{address}/v1")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_reply_repeats_a_key_that_a_provider_repeats() {
    let mut job = Job::new(10, 10).await;
    job.base = refusing();
    let arguments =
        ["run", text(&job.input), "-o", text(&job.output), "--base-url", &job.base, "--key-env", "K"];
    let mut command = outbound(&arguments);
    command.args(["--concurrency", "1"]).env("K", "sk-canary");
    let _run = Running::start(command);
    until(|| job.socket().exists()).await;
    let mut reply = Value::Null;
    for _ in 0..200 {
        let run = job.ctl(&["status", "--json"]);
        reply = serde_json::from_slice(&run.stdout).unwrap_or_default();
        if reply["status"]["why"]["reason"] == "account" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(reply["status"]["why"]["reason"], "account", "{reply}");
    assert!(!reply.to_string().contains("sk-ca"), "{reply}");
    assert!(reply["text"].as_str().is_some_and(|text| text.contains("Incorrect API key")), "{reply}");
    job.simulator.shutdown().await;
}
