//! A server in a process of its own, which answers each chat with bytes it has ready.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
};

use serde_json::json;

pub(super) const SERVE: &str = "--serve";

/// As OpenAI sends them; so large that nobody waits.
const LIMITS: &str = "x-ratelimit-limit-requests: 30000000\r\n\
    x-ratelimit-remaining-requests: 29999999\r\n\
    x-ratelimit-reset-requests: 2ms\r\n\
    x-ratelimit-limit-tokens: 90000000000\r\n\
    x-ratelimit-remaining-tokens: 89999998720\r\n\
    x-ratelimit-reset-tokens: 6ms\r\n";

/// The running server; it ends with this value.
pub(super) struct Server {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Server {
    pub(super) fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .arg(SERVE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("an address");
        Self { child, address: line.trim().parse().expect("an address") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends by itself when its standard input does, should this process be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until standard input ends.
pub(super) fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    let _ = io::stdin().read_to_end(&mut Vec::new());
}

/// Answers the requests of one connection until it is closed.
fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let [plain, limits] = ["", LIMITS].map(reply);
    let events = events();
    let mut received = Vec::new();
    loop {
        let Some(length) = request(&received) else {
            let mut piece = [0; 16 << 10];
            match stream.read(&mut piece)? {
                0 => return Ok(()),
                read => received.extend_from_slice(&piece[..read]),
            }
            continue;
        };
        let reply = match &received {
            path if path.starts_with(b"POST /limits") => &limits,
            path if path.starts_with(b"POST /events") => &events,
            _ => &plain,
        };
        stream.write_all(reply)?;
        received.drain(..length);
    }
}

/// The length of the whole request at the beginning of `received`, once it is whole.
fn request(received: &[u8]) -> Option<usize> {
    let head = received.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&received[..head]).to_ascii_lowercase();
    let (_, rest) = text.split_once("content-length: ").expect("a length");
    let length: usize = rest.split("\r\n").next().and_then(|length| length.parse().ok()).expect("a length");
    (received.len() >= head + length).then_some(head + length)
}

/// Of about 1 KiB, with the headers given besides the usual ones.
fn reply(headers: &str) -> Vec<u8> {
    let body = json!({
        "id": "chatcmpl-0123456789", "object": "chat.completion", "created": 1_790_000_000, "model": "small",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": "word ".repeat(130), "refusal": null},
            "logprobs": null,
            "finish_reason": "stop",
        }],
        "usage": {
            "prompt_tokens": 200, "completion_tokens": 130, "total_tokens": 330,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
    })
    .to_string();
    format!(
        "HTTP/1.1 200 OK\r\ndate: Thu, 26 Nov 2026 12:00:00 GMT\r\ncontent-type: application/json\r\n\
         x-request-id: req_0123456789abcdef\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A stream of [`EVENTS`](super::cases::EVENTS) events, all at once.
fn events() -> Vec<u8> {
    let event = |index: usize, choice: serde_json::Value| {
        let mut event = json!({
            "id": "chatcmpl-0123456789", "object": "chat.completion.chunk", "created": 1_790_000_000,
            "model": "small", "choices": [choice],
        });
        if index + 1 == super::cases::EVENTS {
            event["usage"] = json!({"prompt_tokens": 200, "completion_tokens": 130, "total_tokens": 330});
        }
        format!("data: {event}\n\n")
    };
    let mut body: String = (0..super::cases::EVENTS - 1)
        .map(|index| event(index, json!({"index": 0, "delta": {"content": "word "}, "finish_reason": null})))
        .collect();
    body += &event(super::cases::EVENTS - 1, json!({"index": 0, "delta": {}, "finish_reason": "stop"}));
    body += "data: [DONE]\n\n";
    format!(
        "HTTP/1.1 200 OK\r\ndate: Thu, 26 Nov 2026 12:00:00 GMT\r\ncontent-type: text/event-stream\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
