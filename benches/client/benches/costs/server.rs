//! A server in a process of its own, which answers each request with bytes it has ready.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
};

use bytes::Bytes;

pub(super) const SERVE: &str = "--serve";

/// Events in the reply to `/events` and `/events-of-two-lines`, each in a chunk of its own, ten in a write.
pub(super) const EVENTS: usize = 100;

/// The running server; it ends with this value.
pub(super) struct Server {
    child: Child,
    pub(super) addresses: Addresses,
}

#[derive(Clone, Copy)]
pub(super) struct Addresses {
    pub(super) http1: SocketAddr,
    /// HTTP/2 in the clear.
    pub(super) http2: SocketAddr,
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
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("two addresses");
        let (http1, http2) = line.trim().split_once(' ').expect("two addresses");
        let [http1, http2] = [http1, http2].map(|address| address.parse().expect("an address"));
        Self { child, addresses: Addresses { http1, http2 } }
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
    let http1 = TcpListener::bind("127.0.0.1:0").expect("a port");
    let http2 = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addresses = [&http1, &http2].map(|listener| listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in http1.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    thread::spawn(move || serve_http2(http2));
    println!("{} {}", addresses[0], addresses[1]);
    let _ = io::stdin().read_to_end(&mut Vec::new());
}

/// Answers the requests of one connection until it is closed.
fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let one_line = events("data: {\"choices\":[{\"delta\":{\"content\":\"token\"}}]}\n\n");
    let two_lines = events("event: delta\ndata: {\"choices\":\ndata: [{\"content\":\"token\"}]}\n\n");
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
            path @ ("/events" | "/events-of-two-lines") => {
                let events = if path == "/events" { &one_line } else { &two_lines };
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")?;
                for ten in events.chunks(10) {
                    stream.write_all(ten.concat().as_bytes())?;
                }
                stream.write_all(b"0\r\n\r\n")?;
            }
            "/slow" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\n")?;
                // Long enough for the reader to see the head alone.
                for _ in 0..100 {
                    thread::yield_now();
                }
                stream.write_all(&[b'x'; 200])?;
            }
            _ => {
                let mut reply =
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 200\r\n\r\n"
                        .to_vec();
                reply.resize(reply.len() + 200, b'x');
                stream.write_all(&reply)?;
            }
        }
    }
}

/// The length of the whole request at the beginning of `received`, once it is whole.
fn request(received: &[u8]) -> Option<usize> {
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|window| window == what);
    let head = find(received, b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&received[..head]).to_ascii_lowercase();
    if text.contains("transfer-encoding: chunked") {
        return find(&received[head..], b"0\r\n\r\n").map(|end| head + end + 5);
    }
    let length = text.split_once("content-length: ").map_or(0, |(_, rest)| {
        rest.split("\r\n").next().and_then(|length| length.parse().ok()).expect("a length")
    });
    (received.len() >= head + length).then_some(head + length)
}

/// An event many times over, as chunks.
fn events(event: &str) -> Vec<String> {
    vec![format!("{:x}\r\n{event}\r\n", event.len()); EVENTS]
}

fn serve_http2(listener: TcpListener) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        listener.set_nonblocking(true).expect("a socket");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async {
                let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    tokio::spawn(async move {
                        let mut body = request.into_body();
                        while let Some(Ok(piece)) = body.data().await {
                            let _ = body.flow_control().release_capacity(piece.len());
                        }
                        let mut stream =
                            respond.send_response(http::Response::new(()), false).expect("a stream");
                        stream.send_data(Bytes::from_static(&[b'x'; 200]), true).expect("a stream");
                    });
                }
            });
        }
    });
}
