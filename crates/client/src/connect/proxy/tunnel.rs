//! A tunnel through an HTTP proxy, with `CONNECT`.

use http::{HeaderValue, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Refusal;
use crate::connect::Transport;

/// The longest head of an answer that is read.
const MAX_HEAD: usize = 64 << 10;

/// Asks for a tunnel to `host:port` by `CONNECT` (RFC 9110, section 9.3.6).
pub(super) async fn open(
    transport: &mut dyn Transport,
    target: &str,
    authorization: Option<HeaderValue>,
) -> Result<(), Refusal> {
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
    if let Some(authorization) = authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    transport.write_all(&request).await.map_err(Refusal::Connection)?;
    transport.flush().await.map_err(Refusal::Connection)?;
    loop {
        let status = read_head(transport).await?;
        if status.is_success() {
            return Ok(());
        }
        // Interim responses may come first (RFC 9110, section 15.2).
        if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Refusal::Status(status));
        }
    }
}

/// The status of one response. It is read byte by byte, because the bytes after the head belong to the tunnel.
async fn read_head(transport: &mut dyn Transport) -> Result<StatusCode, Refusal> {
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") && !head.ends_with(b"\n\n") {
        if head.len() == MAX_HEAD {
            return Err(Refusal::Protocol("the head of its answer to CONNECT is longer than 64 KiB"));
        }
        head.push(transport.read_u8().await.map_err(Refusal::Connection)?);
        if !b"HTTP/1.".starts_with(&head[..head.len().min(7)]) {
            return Err(Refusal::Protocol("its answer to CONNECT is not HTTP/1.1"));
        }
    }
    let code = head.get(8..12).and_then(|code| code.strip_prefix(b" "));
    code.and_then(|code| StatusCode::from_bytes(code).ok())
        .ok_or(Refusal::Protocol("its answer to CONNECT has no status"))
}
