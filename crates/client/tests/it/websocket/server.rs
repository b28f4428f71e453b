//! Servers for the tests of WebSocket.

use std::sync::Arc;

use futures::{SinkExt, StreamExt};
use outbound_client::{ClientBuilder, Limits, WebSocket};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    sync::mpsc,
};
use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::Role};

use crate::support::{Request, Seen, in_memory, read_request, write};

/// A client whose server switches to WebSocket with the first offered protocol, and then runs `serve`.
pub(super) fn websocket_server<F, Fut>(serve: F) -> (ClientBuilder, Arc<Seen>)
where
    F: Fn(usize, WebSocketStream<DuplexStream>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    in_memory(move |number, mut pipe, seen| {
        let serve = serve.clone();
        async move {
            let Some(request) = read_request(&mut pipe, number).await else { return };
            let answer = switch(&request);
            seen.requests.lock().unwrap().push(request);
            write(&mut pipe, answer).await;
            serve(number, websocket(pipe).await).await;
        }
    })
}

/// The server's half of an open WebSocket.
pub(super) async fn websocket<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> WebSocketStream<S> {
    WebSocketStream::from_raw_socket(stream, Role::Server, None).await
}

/// An open WebSocket with these limits, and its server's half.
pub(super) async fn pair(
    limits: impl FnOnce(Limits) -> Limits,
) -> (WebSocket, WebSocketStream<DuplexStream>) {
    let (socket, pipe) = pipe(limits).await;
    (socket, websocket(pipe).await)
}

/// An open WebSocket with these limits, and the bytes at its other end.
pub(super) async fn pipe(limits: impl FnOnce(Limits) -> Limits) -> (WebSocket, DuplexStream) {
    let (give, mut pipes) = mpsc::unbounded_channel();
    let (builder, _) = in_memory(move |number, mut pipe, _| {
        let give = give.clone();
        async move {
            let request = read_request(&mut pipe, number).await.unwrap();
            write(&mut pipe, switch(&request)).await;
            give.send(pipe).unwrap();
        }
    });
    let client = builder.build().unwrap();
    let opening = client.websocket("/feed").change_limits(limits);
    (opening.connect().await.unwrap(), pipes.recv().await.unwrap())
}

/// Sends everything back, until the end.
pub(super) async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocketStream<S>) {
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            return;
        }
    }
}

/// The answer of a server that accepts the handshake.
pub(super) fn switch(request: &Request) -> Vec<u8> {
    let accept = accept_key(request.header("sec-websocket-key").unwrap());
    let protocol = request.header("sec-websocket-protocol").and_then(|offered| offered.split(',').next());
    let protocol = protocol.map(|chosen| format!("sec-websocket-protocol: {chosen}\r\n")).unwrap_or_default();
    let head =
        "HTTP/1.1 101 Switching Protocols\r\nconnection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n";
    format!("{head}{protocol}sec-websocket-accept: {accept}\r\n\r\n").into_bytes()
}

/// RFC 6455, section 4.2.2, number 5.4.
pub(super) fn accept_key(key: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    let bits: Vec<u8> =
        digest.as_ref().iter().flat_map(|byte| (0..8).rev().map(move |bit| (byte >> bit) & 1)).collect();
    let digits = bits.chunks(6).map(|bits| {
        let value = (0..6).fold(0, |value, bit| (value << 1) | bits.get(bit).copied().unwrap_or(0));
        char::from(DIGITS[usize::from(value)])
    });
    // 20 bytes are 27 digits.
    digits.chain(['=']).collect()
}
