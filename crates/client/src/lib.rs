//! One HTTP request well done: pool, TLS, bodies, events, limits, and whether it was delivered.
//!
//! A request can be slow, be cut, or end with an error that does not say whether the server has seen it. A program
//! that does not know this either loses work or pays for it twice.
//!
//! Each error of this client says what happened, in which phase, and whether the request can have been sent. Each
//! phase has a time limit, and each buffer a bound. The client knows HTTP only: no provider, and no retry of what the
//! server may have processed.
//!
//! ```
//! use std::time::Duration;
//! use outbound_client::{Client, Delivery, Limits};
//! use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::TcpListener};
//!
//! #[derive(serde::Deserialize)]
//! struct Answer { answer: u32 }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // In place of a real API: a server that answers one request.
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let url = format!("http://{}/v1", listener.local_addr()?);
//!     tokio::spawn(async move {
//!         let (mut socket, _) = listener.accept().await.unwrap();
//!         socket.read(&mut [0; 4096]).await.unwrap();
//!         socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"answer\":42}").await.unwrap();
//!     });
//!
//!     let client = Client::builder()
//!         .base_url(url)
//!         .no_proxy()
//!         .bearer_auth("sk-never-printed")
//!         .limits(Limits::new().total(Duration::from_secs(120)))
//!         .build()?;
//!     let body = serde_json::json!({"model": "small", "messages": []});
//!     let reply = client.post("/chat/completions").json(&body).send().await?;
//!     let answer: Answer = reply.error_for_status().await?.json().await?;
//!     assert_eq!(answer.answer, 42);
//!
//!     // Nothing listens on this port any more. The error proves that the request was not sent.
//!     let closed = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
//!     let error = client.get(&format!("http://{closed}/")).send().await.unwrap_err();
//!     assert_eq!(error.delivery(), Delivery::NotSent);
//!     Ok(())
//! }
//! ```
//!
//! Beside this crate the example needs:
//!
//! ```sh
//! cargo add serde --features derive
//! cargo add serde_json
//! cargo add tokio --features io-util,macros,net,rt
//! ```
//!
//! # What is in it
//!
//! | to | use |
//! |---|---|
//! | set what all requests have in common | [`Client::builder`], [`ClientBuilder`] |
//! | build one request: JSON, text, form, files, stream | [`Client::post`], [`RequestBuilder`], [`Multipart`] |
//! | read the reply: bytes, text, JSON, in pieces | [`Reply`] |
//! | read it as lines, values or server-sent events | [`Lines`], [`Ndjson`], [`Events`] |
//! | tell a complete event stream from one that broke off | [`Events::until`] |
//! | send a file, save a reply to one, follow the progress | [`Body::file`], [`Part::file`], [`Reply::save`], [`progress()`] |
//! | limit the time and the bytes | [`Limits`] |
//! | read only the beginning of a body, within a time | [`Reply::bytes_up_to`] |
//! | know what went wrong, when, and whether to send again | [`Error::kind`], [`Error::phase`], [`Error::delivery`] |
//! | know why there is no connection, and whether waiting can help | [`Error::connect_failure`] |
//! | know what took long, and on which connection | [`Reply::timings`], [`Reply::connection`], [`Error::timings`] |
//! | open connections early, close them, count them | [`Client::warm_up`], [`Client::drain`], [`Client::close`], [`Client::snapshot`] |
//! | trust a private authority, present a certificate | [`ClientBuilder::add_root_pem`], [`ClientBuilder::client_certificate_pem`] |
//! | forbid connections, for example into the own network | [`EgressPolicy`] |
//! | use a proxy, or none | [`Proxy`], [`ClientBuilder::proxy`], [`ClientBuilder::no_proxy`] |
//! | follow redirects, or not | [`Redirects`] |
//! | set credentials for one request | [`RequestBuilder::bearer_auth`], [`RequestBuilder::basic_auth`] |
//! | remove a key from a text that others wrote | [`Secret::redact`] |
//! | speak another protocol on the connection | [`RequestBuilder::upgrade`] |
//! | do something around every request | a [function](#middleware), or a tower layer: [`ClientBuilder::layer`] |
//! | send request values, or use the client as a tower service | [`Client::execute`], [`Body`], [`ReplyBody`] |
//! | run all of it without a network, under tokio's paused clock | [`Connect`] |
//!
//! # Guarantees
//!
//! - **Cancel safety.** Dropping a future or a reply cancels the request at any point. Before a connection is held,
//!   nothing is sent. After that, HTTP/1.1 closes the connection, and HTTP/2 resets this one stream. If the end of
//!   the reply was read or has arrived, the connection goes back to the pool.
//! - **Fairness.** Requests that wait for a connection are served in order of arrival. With a maximum over all
//!   origins, an origin without any connection comes first, so that a busy origin does not starve another.
//! - **Time.** All limits use tokio's clock, so the paused clock works. Time in one phase never counts against the
//!   limit of another. Data that has arrived counts more than a limit that has passed: before a request fails, the
//!   client reads once more what is there.
//! - **Panics.** No input from the network causes a panic. A connector that panics fails its own requests and no
//!   others. A future that is polled after it was ready panics, as futures usually do.
//! - **Bounds.** Heads, bodies, lines, events, redirects and decoded data have default bounds ([`Limits`]), and the
//!   error names the bound.
//! - **Secrets.** A key is bound to the origin of the base URL and is sent to no other, also by redirects. No
//!   `Debug`, `Display` or error shows a key, a query or a header value.
//! - **Tasks.** Each connection has one task, on the runtime of the request that needed the dial. The task dials,
//!   drives the connection until it is closed, and ends with the client. HTTP/2 adds one task of hyper's for each
//!   stream. No other task is spawned. Files and the system's name look-up use tokio's threads for blocking work.
//!
//! # Delivery
//!
//! Every [`Error`] has a [`Delivery`]:
//!
//! - [`NotSent`](Delivery::NotSent) is a proof. There was no connection; or the connection gave the request back
//!   before it wrote a byte; or an HTTP/2 server refused the stream, or sent a GOAWAY that excludes it (RFC 9113,
//!   section 8.7).
//! - [`Replied`](Delivery::Replied): the head of a reply came.
//! - [`MaybeSent`](Delivery::MaybeSent): all other cases.
//!
//! If a connection ends before it has taken a request, the client sends that request again by itself. After two dead
//! connections that had been used before, it takes a new one. New connections that end at once count as connecting:
//! there are pauses of up to a second between dials, and [`Limits::connect`] limits the whole. A stream that an
//! HTTP/2 server refuses is sent three times at most. A body that is a stream cannot be read twice: if the connection
//! has begun to read it, the error goes to the caller.
//!
//! A request that the server may have seen is never sent again, unless it is marked as
//! [`replayable`](RequestBuilder::replayable). A request whose body is a stream cannot be marked: its type
//! ([`Streamed`]) does not have this method.
//!
//! # The pool
//!
//! A request takes the connection that was used last. If there is none, it waits for a connection that comes back or
//! for a new one, whichever is first. There is no maximum unless one is set. A burst of requests to a new origin
//! makes one dial until it is known whether the origin speaks HTTP/2. Requests to an HTTP/2 origin share a
//! connection, up to the server's limit on streams.
//!
//! A connection is never closed during a request. It is closed when the server closes it, when it was idle or open
//! for too long, or when it has served its number of requests. How long it may be idle is the smallest of the
//! client's [`idle_timeout`](ClientBuilder::idle_timeout), the server's `Keep-Alive`, and the idle limit that the
//! server was seen to have. This avoids requests that cross the server's close. A connection is not used again after
//! `Connection: close`, after an HTTP/1.0 reply without `keep-alive`, or, for a minute, if three connections in a row
//! ended right after their reply without such a header.
//!
//! A dead connection is found by TCP keep-alive probes, and by pings on an HTTP/2 connection with requests. If a
//! limit passes on an HTTP/2 stream, its connection is pinged at once and takes no new requests until it answers.
//!
//! # Connecting
//!
//! A dial has up to three stages with a limit each: name look-up, TCP, TLS. All dials that need the same name share
//! one look-up. Addresses are tried by Happy Eyeballs (RFC 8305). The cache of names is described at
//! [`ClientBuilder::dns_ttl`].
//!
//! A dial belongs to its origin, not to the request that started it. A request stops waiting at its own limit, and
//! the dial continues for later requests. A later request does not wait for a dial that has already taken longer than
//! its own limit allows; another dial is started.
//!
//! With a [`Proxy`], `connect` limits all that is needed until there is a transport to the origin: TCP, TLS with the
//! proxy, and a tunnel. The environment names the proxies, as with curl, unless [`ClientBuilder::proxy`] or
//! [`ClientBuilder::no_proxy`] do; a request can have [its own](RequestBuilder::proxy). [`ClientBuilder::resolver`]
//! changes the addresses of names, [`ClientBuilder::unix_socket`] connects to a daemon on the same machine, and a
//! [`Connect`] to anything that carries bytes.
//!
//! # Middleware
//!
//! A request is a value until it is sent, and `send` returns a future. So a function can add to it, without a trait.
//! (For all requests of a client use a [layer](ClientBuilder::layer).)
//!
//! ```
//! use outbound_client::{Error, Reply, RequestBuilder};
//! use tokio::time::Instant;
//!
//! /// Adds an id that the server's log will show too, and logs the result.
//! async fn logged<B>(id: u64, request: RequestBuilder<B>) -> Result<Reply, Error> {
//!     let (begun, target) = (Instant::now(), request.target().to_owned());
//!     let result = request.header("x-request-id", id).send().await;
//!     match &result {
//!         Ok(reply) => println!("{id} {target}: {} after {:?}", reply.status(), begun.elapsed()),
//!         Err(error) => println!("{id} {target}: {error}, {:?}", error.delivery()),
//!     }
//!     result
//! }
//! # use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Error> {
//! # let connector = |_: &outbound_client::Origin| async {
//! #     let (near, mut far) = tokio::io::duplex(4096);
//! #     tokio::spawn(async move {
//! #         let mut request = vec![0; 4096];
//! #         let read = far.read(&mut request).await.unwrap();
//! #         assert!(String::from_utf8_lossy(&request[..read]).contains("x-request-id: 7\r\n"));
//! #         far.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await
//! #     });
//! #     Ok(near)
//! # };
//! # let client = outbound_client::Client::builder().base_url("http://a.test").connector(connector).build()?;
//! # assert_eq!(logged(7, client.get("/models")).await?.text().await?, "ok");
//! # Ok(())
//! # }
//! ```
//!
//! # What it does not do
//!
//! - It does not retry, except as described under [delivery](#delivery), and knows no providers. The crate `outbound`
//!   does both.
//! - It does not cache replies.
//! - It does not speak HTTP/3.
//! - It decodes no content coding, keeps no cookies and opens no WebSocket without the [feature](#features) for it.
//! - Until an HTTP/2 server has said how many streams it allows, the client assumes 100. Streams above the real limit
//!   wait inside the connection, under `first_byte`. If a GOAWAY ends such a wait, the first of them may have been
//!   sent.
//!
//! # Coming from reqwest
//!
//! | `reqwest` | here |
//! |---|---|
//! | `Client::new()`, `reqwest::get(url)` | [`Client::new`], [`get`] |
//! | `.timeout(d)` on client or request | [`ClientBuilder::timeout`], [`RequestBuilder::timeout`]; each phase has a limit as well ([`Limits`]) |
//! | `.connect_timeout(d)`, `.read_timeout(d)` | `change_limits` with [`Limits::connect`], [`Limits::first_byte`] and [`Limits::idle`] |
//! | `.default_headers(map)`, `.user_agent(v)` | [`ClientBuilder::default_header`], [`ClientBuilder::user_agent`] |
//! | `.pool_max_idle_per_host(n)`, `.pool_idle_timeout(d)` | [`ClientBuilder::max_idle_per_origin`], [`ClientBuilder::idle_timeout`] |
//! | `redirect::Policy::limited(n)`, `none()` | [`Redirects::up_to`], [`Redirects::none`], also for one request |
//! | `.bearer_auth(t)`, `.basic_auth(u, Some(p))` | the same, and `digest_auth` |
//! | `.query(&q)`, `.form(&f)`, `.json(&j)`, `.headers(map)` | the same ([`headers`](RequestBuilder::headers) borrows) |
//! | `response.error_for_status()?` | `reply.error_for_status().await?`: the error contains the body |
//! | `response.bytes_stream()`, `.chunk()` | [`Reply::bytes_stream`], [`Reply::chunk`] |
//! | `error.is_timeout()`, `.is_connect()`, `.status()` | the same, and [`Error::kind`], [`Error::delivery`] |
//! | `.cookie_store(true)`, `.cookie_provider(jar)` | `ClientBuilder::cookies` |
//! | `Proxy::all(url)`, `.no_proxy()`, `.add_root_certificate(c)` | [`ClientBuilder::proxy`], [`ClientBuilder::no_proxy`], [`ClientBuilder::add_root_pem`] |
//! | `response.url()`, `.remote_addr()` | [`Reply::url`], [`Reply::remote_addr`] |
//! | `.connector_layer(l)`, `reqwest-middleware` | [`ClientBuilder::layer`] |
//!
//! # Coming from hyper-util
//!
//! | `hyper_util::client::legacy` | here |
//! |---|---|
//! | `Client::builder(executor).build(connector)` | [`Client::builder`]; TCP and TLS are built in, another connector is a [`Connect`] |
//! | `client.request(request)` | [`Client::execute`] |
//! | `.pool_idle_timeout(d)`, `.pool_max_idle_per_host(n)` | [`ClientBuilder::idle_timeout`], [`ClientBuilder::max_idle_per_origin`] |
//! | `.http2_only(true)` | [`ClientBuilder::http2_prior_knowledge`] |
//! | `.retry_canceled_requests(b)` | always; see [delivery](#delivery) |
//! | `response.into_body().collect().await?.to_bytes()` | [`Reply::bytes`], with a bound |
//! | `tokio::time::timeout` around a request | [`Limits`], by phase |
//! | `tower::Service` | [`Client`] is one too |
//!
//! # Coming from httpx, aiohttp
//!
//! | `httpx`, `aiohttp` | here |
//! |---|---|
//! | `httpx.Client(base_url=..., headers=..., timeout=5)` | [`Client::builder`], [`ClientBuilder::base_url`], [`Limits::each`] |
//! | `httpx.Timeout(connect=, read=, write=, pool=)` | [`Limits::connect`], [`Limits::idle`] and [`Limits::first_byte`], [`Limits::write_idle`], [`Limits::pool_wait`] |
//! | `ClientTimeout(total=, sock_connect=, sock_read=)` | [`Limits::total`], [`Limits::connect`], [`Limits::idle`] |
//! | `Limits(max_connections=, max_keepalive_connections=)`, `TCPConnector(limit=, limit_per_host=)` | [`ClientBuilder::max_connections`], [`ClientBuilder::max_idle_per_origin`], [`ClientBuilder::max_connections_per_origin`] |
//! | `params=`, `json=`, `data=`, `files=` | [`query`](RequestBuilder::query), [`json`](RequestBuilder::json), [`form`](RequestBuilder::form), [`multipart`](RequestBuilder::multipart) |
//! | `follow_redirects=True` | the default; [`Redirects`] |
//! | `response.raise_for_status()` | [`Reply::error_for_status`] |
//! | `response.aiter_lines()`, `aiter_bytes()`, `content.iter_chunked()` | [`Reply::lines`], [`Reply::chunk`] |
//! | `auth=(u, p)`, `httpx.DigestAuth(u, p)` | [`basic_auth`](RequestBuilder::basic_auth), `digest_auth` |
//! | `cookies=` | `ClientBuilder::cookies` |
//! | `proxy=`, `trust_env=False`, `verify=` | [`ClientBuilder::proxy`], [`ClientBuilder::no_proxy`], [`ClientBuilder::add_root_pem`] |
//! | `response.url`, `response.history` | [`Reply::url`], [`Reply::redirects`] |
//! | `except httpx.ConnectError`, `TimeoutException` | [`Error::is_connect`], [`Error::is_timeout`] |
//! | `transport=` | [`ClientBuilder::connector`], [`ClientBuilder::layer`] |
//!
//! # Coming from axios, fetch
//!
//! | `axios`, `fetch` | here |
//! |---|---|
//! | `axios.create({baseURL, headers, timeout})` | [`Client::builder`], [`ClientBuilder::base_url`], [`ClientBuilder::timeout`] |
//! | `params`, `data` | [`query`](RequestBuilder::query), [`json`](RequestBuilder::json) |
//! | `maxRedirects: n`, `redirect: "manual"` | [`Redirects::up_to`], [`Redirects::none`] |
//! | `maxContentLength` | [`Limits::max_body`] |
//! | interceptors | [`ClientBuilder::layer`] |
//! | `validateStatus`, `response.ok` | a status is no error until [`Reply::error_for_status`] |
//! | `await response.json()`, `.text()` | [`Reply::json`], [`Reply::text`] |
//! | `response.body.getReader()` | [`Reply::chunk`] |
//! | `EventSource` | [`Reply::events`], with any method |
//! | `AbortController` | drop the future or the reply |
//!
//! # Features
//!
//! None is on by default. A feature adds methods, or makes something work that is otherwise an error which names the
//! feature. A feature that is compiled in and not used costs a request nothing. TLS, HTTP/2, HTTP proxies and
//! redirects need no feature.
//!
//! | feature | adds |
//! |---|---|
//! | `gzip` | decoding of `gzip` and `deflate` bodies, and `gzip` for request bodies |
//! | `brotli` | the same for `br` |
//! | `zstd` | the same for `zstd` |
//! | `cookies` | `CookieJar` and `ClientBuilder::cookies` |
//! | `digest` | `digest_auth`: credentials by the scheme `Digest` (RFC 7616) |
//! | `socks` | SOCKS 5 proxies (`socks5://` and `socks5h://` URLs) |
//! | `websocket` | `Client::websocket` and `WebSocket` (RFC 6455) |
//! | `test-kit` | `test_kit`: a server in memory, faults, and recorded replies, for tests |
//!
//! # Cost
//!
//! On an open connection, a request allocates hardly more than one on a bare connection of hyper's; a test holds the
//! bound. Events are not copied, and make no allocation, as long as earlier events were dropped. `benches/RESULTS.md`
//! in the repository has the measured costs, beside those of other clients.
#![forbid(unsafe_code)]

mod body;
mod charset;
mod client;
mod coding;
mod connect;
mod connect_failure;
mod connection;
#[cfg(feature = "cookies")]
mod cookies;
#[cfg(feature = "digest")]
mod digest;
mod error;
mod events;
mod failure;
mod fields;
mod file;
mod json;
mod layers;
mod limit_timer;
mod limits;
mod lines;
mod look;
mod manage;
mod multipart;
mod origin;
mod pairs;
mod pool;
mod progress;
mod read;
mod redirect;
mod reply;
mod reply_body;
mod request;
mod request_copy;
mod reused_timer;
mod save;
mod secret;
mod send;
mod sender;
mod sse;
mod target;
#[cfg(feature = "test-kit")]
pub mod test_kit;
mod timings;
mod upgraded;
#[cfg(feature = "websocket")]
mod websocket;

pub use bytes::Bytes;
pub use bytestring::ByteString;
pub use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
pub use rustls;

pub use crate::coding::decode;
#[cfg(feature = "cookies")]
pub use crate::cookies::{Cookie, CookieJar, SameSite};
#[cfg(feature = "websocket")]
pub use crate::websocket::{
    CloseFrame, CloseWebSocket, Handshake, Message, NextMessage, OpenWebSocket, SendMessage, WebSocket,
};
pub use crate::{
    body::Body,
    client::{Client, ClientBuilder, get},
    connect::{
        Connect, Connected, Connecting, EgressPolicy, Proxy, Resolve, Resolving, SystemResolver, Transport,
    },
    connect_failure::ConnectFailure,
    error::{Delivery, Error, ErrorReply, Kind, Phase},
    events::{Event, Events, NextEvent},
    layers::{ClientService, ResponseFuture},
    limits::{Limit, Limits},
    lines::{Lines, Ndjson, NextLine, NextValue},
    manage::Drained,
    multipart::{Multipart, Part},
    origin::Origin,
    pairs::encode_form,
    pool::{PoolSnapshot, WarmUp},
    progress::{Progress, ProgressStream, progress},
    read::{ErrorForStatus, NextChunk, ReadBytes, ReadJson, ReadPrefix, ReadText},
    redirect::{Redirect, Redirects},
    reply::Reply,
    reply_body::ReplyBody,
    request::{Buffered, RequestBuilder, Streamed},
    save::SaveReply,
    secret::Secret,
    send::ReplyFuture,
    timings::{ConnectionInfo, Timings},
    upgraded::{Upgrade, Upgraded},
};
