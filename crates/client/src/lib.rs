//! One HTTP request well done: pool, TLS, bodies, events, limits, and whether it was delivered.
//!
//! ```
//! use outbound_client::{Client, Limit, Limits, Origin};
//! use std::time::Duration;
//! # use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! # async fn serve(mut pipe: tokio::io::DuplexStream) {
//! #     let mut request = vec![0; 4096];
//! #     let read = pipe.read(&mut request).await.unwrap();
//! #     assert!(request[..read].starts_with(b"POST /v1/chat/completions HTTP/1.1\r\n"));
//! #     let _ = pipe.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"answer\":42}").await;
//! # }
//!
//! #[derive(serde::Deserialize)]
//! struct Answer { answer: u32 }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), outbound_client::Error> {
//! let client = Client::builder()
//!     .base_url("https://api.example.com/v1")
//!     .bearer_auth("sk-not-shown-anywhere")
//!     .limits(Limits::new().total(Duration::from_secs(120)))
//! #   .base_url("http://api.example.com/v1")
//! #   .connector(|_: &Origin| {
//! #       let (near, far) = tokio::io::duplex(4096);
//! #       tokio::spawn(serve(far));
//! #       async { Ok(near) }
//! #   })
//!     .build()?;
//!
//! let body = serde_json::json!({"model": "small", "messages": []});
//! let reply = client.post("/chat/completions").json(&body).send().await?;
//! let answer: Answer = reply.error_for_status().await?.json().await?;
//! assert_eq!(answer.answer, 42);
//! # Ok(())
//! # }
//! ```
//!
//! # What is where
//!
//! | to | use |
//! |---|---|
//! | put together what requests have in common | [`Client::builder`], [`ClientBuilder`] |
//! | put together one request: JSON, form, files, stream | [`Client::post`], [`RequestBuilder`], [`Multipart`] |
//! | read the reply: whole, in pieces, as server-sent events | [`Reply`], [`Events`] |
//! | bound what it may take, in time and in bytes | [`Limits`] |
//! | know what went wrong, when, and whether to send again | [`Error::kind`], [`Error::phase`], [`Error::delivery`] |
//! | know what took long, and over which connection | [`Reply::timings`], [`Reply::connection`], [`Error::timings`] |
//! | run all of it without a network, under tokio's paused clock | [`Connect`] |
//!
//! # Whether it was delivered
//!
//! Every [`Error`] has a [`Delivery`]. [`NotSent`](Delivery::NotSent) is a proof: no connection was made, or it gave
//! the request back before it wrote a byte of it, or an HTTP/2 server refused the stream.
//! [`Replied`](Delivery::Replied) means that the head of a reply came. All else is
//! [`MaybeSent`](Delivery::MaybeSent).
//!
//! The client sends again by itself in one case: a connection that had been used before turned out to be closed, and
//! gave the request back. It tries three connections at most, and the last of them is a new one. What may have been
//! sent it never sends again, unless the request says that it is [`replayable`](RequestBuilder::replayable).
//!
//! # The pool
//!
//! A request takes the connection that was used last, or waits for the first of two: one that comes back, one that is
//! dialled for it. There is no maximum unless one is set, so the concurrency of the caller is the concurrency on the
//! wire; with one, requests queue in order of arrival. An HTTP/2 origin has one connection that all requests share,
//! and a burst of requests to an origin that has not said yet what it speaks makes one dial.
//!
//! Each connection has one task, which dials, shakes hands, drives the connection until it is closed and closes idle
//! ones in passing. It is on the runtime of the request that needed the dial, and it ends with the client: it is all
//! that this crate spawns (HTTP/2 adds one task a stream, from hyper). Nothing is spawned and nothing is built for
//! connecting when there is an idle connection.
//!
//! # Connecting
//!
//! A dial has up to three stages, each with a limit of its own that its error names: the look-up of the name, TCP, TLS.
//! A name is looked up once for all dials that want it at the same time; its addresses are kept for 30 s, as the system
//! does not tell for how long they hold, and dropped when none of them connects. A failed look-up falls back on
//! addresses of up to 10 minutes ago, and is not kept itself. Of several addresses the families take turns; the next is
//! tried when one has failed, or has not answered in 250 ms, and the first to answer wins (RFC 8305).
//!
//! A dial belongs to the origin, not to the request that needed it. A request leaves at its own limit, and the dial
//! goes on for as long as the client's limits and that request's allow, whichever are longer.
//!
//! [`ClientBuilder::resolver`] gives names other addresses, [`ClientBuilder::unix_socket`] leads to a daemon on the same
//! machine, and a [`Connect`] to anything that carries bytes.
//!
//! # Dropping
//!
//! Dropping a future or a reply cancels the request, at any point. On the wire that is nothing before a connection is
//! held, the end of the connection with HTTP/1.1, and a reset of one stream with HTTP/2. A reply that has been read to
//! its end, or whose end has arrived when it is dropped, gives its connection back.
//!
//! # What it does not do
//!
//! No redirects, cookies, codings or proxies; a 3xx is returned as it is. No retries but the one above, and no
//! knowledge of providers: `outbound` puts these together. One HTTP/2 connection an origin: at the server's limit of
//! streams requests wait inside it, and that wait counts as waiting for the head. A GOAWAY of HTTP/2 does not prove
//! which requests were not processed, so they may have been sent.
#![forbid(unsafe_code)]

mod body;
mod client;
mod clock;
mod connect;
mod connection;
mod dns;
mod error;
mod events;
mod failure;
mod io;
mod limits;
mod multipart;
mod origin;
mod pool;
mod read;
mod reply;
mod reply_body;
mod request;
mod secret;
mod send;
mod sse;
mod target;
mod timings;
mod tls;

pub use bytestring::ByteString;
pub use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

pub use crate::{
    client::{Client, ClientBuilder},
    connect::{Connect, Connecting, Transport},
    dns::{Resolve, Resolving, SystemResolver},
    error::{Delivery, Error, ErrorReply, Kind, Phase},
    events::{Event, Events, NextEvent},
    limits::{Limit, Limits},
    multipart::{Multipart, Part},
    origin::Origin,
    read::{ErrorForStatus, NextChunk, ReadBytes, ReadJson, ReadText},
    reply::Reply,
    request::RequestBuilder,
    secret::Secret,
    send::ReplyFuture,
    timings::{ConnectionInfo, Timings},
};
