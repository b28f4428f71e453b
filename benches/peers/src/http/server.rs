//! A server in a process of its own, which answers each request with bytes it has ready: what is counted in this process
//! is the client's alone.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::LazyLock,
    thread,
};

use serde_json::json;

pub(crate) const SERVE: &str = "--serve";

/// Events in the reply to `/events`, each in a chunk of its own, ten in a write.
pub(crate) const EVENTS: usize = 100;
/// Bytes of the body of the reply to `/small`.
pub(crate) const SMALL: usize = 200;

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

struct Server {
    address: SocketAddr,
    /// It ends when its standard input does: with this process.
    _child: Child,
}

impl Server {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .arg(SERVE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("an address");
        Self { address: line.trim().parse().expect("an address"), _child: child }
    }
}

/// Where it listens. The first call starts it.
pub(crate) fn address() -> SocketAddr {
    SERVER.address
}

/// Serves until standard input ends.
pub(crate) fn serve() {
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
    let small = reply(&"x".repeat(SMALL));
    let chat = reply(&chat());
    let event = "data: {\"choices\":[{\"delta\":{\"content\":\"token\"}}]}\n\n";
    let event = format!("{:x}\r\n{event}\r\n", event.len());
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
        let line = String::from_utf8_lossy(&received[..received.len().min(64)]).into_owned();
        received.drain(..length);
        match line.split(' ').nth(1).unwrap_or_default() {
            "/events" => {
                stream.write_all(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
                )?;
                for _ in 0..EVENTS / 10 {
                    stream.write_all(event.repeat(10).as_bytes())?;
                }
                stream.write_all(b"0\r\n\r\n")?;
            }
            "/v1/chat/completions" => stream.write_all(&chat)?,
            _ => stream.write_all(&small)?,
        }
    }
}

/// The length of the whole request at the beginning of `received`, once it is whole.
fn request(received: &[u8]) -> Option<usize> {
    let head = received.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&received[..head]).to_ascii_lowercase();
    let length = text.split_once("content-length: ").map_or(0, |(_, rest)| {
        rest.split("\r\n").next().and_then(|length| length.parse().ok()).expect("a length")
    });
    (received.len() >= head + length).then_some(head + length)
}

fn reply(body: &str) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ";
    format!("{head}{}\r\n\r\n{body}", body.len()).into_bytes()
}

/// An answer of about 1 KiB.
fn chat() -> String {
    json!({
        "id": "chatcmpl-0123456789", "object": "chat.completion", "created": 1_790_000_000, "model": "small",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": "word ".repeat(130), "refusal": null},
            "logprobs": null,
            "finish_reason": "stop",
        }],
        "usage": {"prompt_tokens": 200, "completion_tokens": 130, "total_tokens": 330},
    })
    .to_string()
}
