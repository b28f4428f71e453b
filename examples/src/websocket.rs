//! The server of the WebSocket example.

use std::io;

use data_encoding::BASE64;
use futures::{SinkExt, StreamExt};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Duration, sleep},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{CloseFrame, Role, frame::coding::CloseCode},
    },
};

/// A WebSocket server on a loopback port that the system chose. It gives each message back.
///
/// `count N` is answered with the numbers up to N, one every 20 ms, and a close frame with code 1000; `fail` with one of
/// code 1011. Dropping it ends it, and all of its connections.
#[derive(Debug)]
pub struct WebSocketServer {
    url: String,
    _task: JoinSet<()>,
}

impl WebSocketServer {
    /// Starts a server.
    ///
    /// # Errors
    ///
    /// If no port of the loopback interface can be had.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream));
            }
        });
        Ok(Self { url, _task: task })
    }

    /// `http://`, the address and the port.
    pub fn url(&self) -> &str {
        &self.url
    }
}

async fn serve(mut stream: TcpStream) {
    if switch(&mut stream).await.is_err() {
        return;
    }
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        let sent = match message {
            Message::Text(text) if text.as_str() == "fail" => {
                let (code, reason) = (CloseCode::Error, "out of order".into());
                socket.send(Message::Close(Some(CloseFrame { code, reason }))).await
            }
            Message::Text(text) if text.starts_with("count ") => {
                for number in 1..=text.as_str()[6..].parse().unwrap_or(3_u32) {
                    sleep(Duration::from_millis(20)).await;
                    if socket.send(Message::text(number.to_string())).await.is_err() {
                        return;
                    }
                }
                let (code, reason) = (CloseCode::Normal, "".into());
                socket.send(Message::Close(Some(CloseFrame { code, reason }))).await
            }
            Message::Text(_) | Message::Binary(_) => socket.send(message).await,
            _ => Ok(()),
        };
        if sent.is_err() {
            return;
        }
    }
}

/// The handshake of RFC 6455, section 4.2.
async fn switch(stream: &mut TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 16 << 10 {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap_or_default();
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = BASE64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await
}
