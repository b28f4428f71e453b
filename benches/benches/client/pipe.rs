//! A server at the other end of a pipe in memory: it answers each request with bytes it has ready. There is no system
//! call in it, so that what differs between two clients is their own work.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connected, Connection},
    },
    rt::{TokioExecutor, TokioIo},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

/// A connection to the server that answers everything with `reply`.
pub(crate) fn dial(reply: Bytes) -> Pipe {
    let (near, far) = tokio::io::duplex(64 << 10);
    tokio::spawn(answer(far, reply));
    Pipe(near)
}

async fn answer(mut stream: DuplexStream, reply: Bytes) -> io::Result<()> {
    let mut received = Vec::with_capacity(16 << 10);
    while stream.read_buf(&mut received).await? > 0 {
        while let Some(length) = request(&received) {
            received.drain(..length);
            stream.write_all(&reply).await?;
        }
    }
    Ok(())
}

/// The length of the whole request at the beginning of `received`, once it is whole.
fn request(received: &[u8]) -> Option<usize> {
    let head = received.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let name = b"content-length: ";
    let line = received[..head].windows(name.len()).position(|window| window.eq_ignore_ascii_case(name));
    let digits = line.map_or(&[][..], |at| &received[at + name.len()..head]);
    let digits = digits.iter().take_while(|digit| digit.is_ascii_digit());
    let body = digits.fold(0, |length, digit| 10 * length + usize::from(digit - b'0'));
    (received.len() >= head + body).then_some(head + body)
}

/// A reply with this body.
pub(crate) fn reply(content_type: &str, body: &str) -> Bytes {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}")
        .into()
}

/// hyper-util's client, over such pipes.
pub(crate) fn hyper_util(
    reply: Bytes,
) -> Client<impl hyper_util::client::legacy::connect::Connect + Clone, Full<Bytes>> {
    let connector = tower::service_fn(move |_: Uri| {
        let reply = reply.clone();
        Box::pin(async move { Ok::<_, io::Error>(TokioIo::new(dial(reply))) })
    });
    Client::builder(TokioExecutor::new()).build(connector)
}

/// The client's end.
pub(crate) struct Pipe(DuplexStream);

impl Connection for Pipe {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
