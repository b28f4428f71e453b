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
//! | put together one request: JSON, text, form, files, stream | [`Client::post`], [`RequestBuilder`], [`Multipart`] |
//! | read the reply: bytes, text, JSON, in pieces | [`Reply`] |
//! | send a file, save a reply to one, see how far it is | [`Body::file`], [`Part::file`], [`Reply::save`], [`progress()`] |
//! | read it by lines, values or server-sent events | [`Lines`], [`Ndjson`], [`Events`] |
//! | tell a stream that ended from one that broke off | [`Events::until`] |
//! | bound what it may take, in time and in bytes | [`Limits`] |
//! | read what comes of a body in time, and no more | [`Reply::bytes_up_to`] |
//! | keep a key out of what others wrote | [`Secret::redact`] |
//! | know what went wrong, when, and whether to send again | [`Error::kind`], [`Error::phase`], [`Error::delivery`] |
//! | know why there is no connection, and whether that can heal | [`Error::connect_failure`] |
//! | know what took long, and over which connection | [`Reply::timings`], [`Reply::connection`], [`Error::timings`] |
//! | open connections early, let them go, see what there is | [`Client::warm_up`], [`Client::drain`], [`Client::close`], [`Client::snapshot`] |
//! | trust a private authority, show a certificate | [`ClientBuilder::add_root_pem`], [`ClientBuilder::client_certificate_pem`] |
//! | keep it from going where it must not, such as into one's own network | [`EgressPolicy`] |
//! | go through a proxy, or past it | [`Proxy`], [`ClientBuilder::proxy`], [`ClientBuilder::no_proxy`] |
//! | follow redirects, or not | [`Redirects`] |
//! | speak WebSocket (feature `websocket`), or another protocol | `Client::websocket`, [`RequestBuilder::upgrade`] |
//! | say who sends one request | [`RequestBuilder::bearer_auth`], [`RequestBuilder::basic_auth`]; `digest_auth`, with the feature `digest` |
//! | keep cookies, look at them, store them | `CookieJar`, with the feature `cookies` |
//! | do something around every request | [a function](#middleware), or a layer of tower's: [`ClientBuilder::layer`] |
//! | send requests that are values, or use the client as a tower service | [`Client::execute`], [`Body`], [`ReplyBody`] |
//! | run all of it without a network, under tokio's paused clock | [`Connect`]; `test_kit`, with the feature `test-kit` |
//!
//! # Whether it was delivered
//!
//! Every [`Error`] has a [`Delivery`]. [`NotSent`](Delivery::NotSent) is a proof: no connection was made, or it gave
//! the request back before it wrote a byte of it, or an HTTP/2 server refused the stream, or said GOAWAY and that it
//! processed no stream as late as this one (RFC 9113, section 8.7).
//! [`Replied`](Delivery::Replied) means that the head of a reply came. All else is
//! [`MaybeSent`](Delivery::MaybeSent).
//!
//! What was not sent because a connection ended is sent again by itself, however often; after two connections that had
//! been used before, on a new one. New ones that end at once count as connecting: they are dialled with pauses of up to
//! a second, and after [`Limits::connect`] that is an error. An HTTP/2 stream that is refused is sent three times at
//! most. (A body that is a stream cannot be read twice: where the connection has begun to read it, the error is the
//! caller's.) What may have been sent is never sent again, unless the request says that it is
//! [`replayable`](RequestBuilder::replayable). A request whose body is a stream or has parts cannot say so: its type
//! ([`Streamed`]) has no such method.
//!
//! # The pool
//!
//! A request takes the connection that was used last, or waits for the first of two: one that comes back, one that is
//! dialled for it. There is no maximum unless one is set, so the concurrency of the caller is the concurrency on the
//! wire; with one, over all origins or for each, requests queue in order of arrival. A burst of requests to an origin
//! that has not said yet what it speaks makes one dial. The requests to an HTTP/2 origin share a connection up to the
//! server's limit of streams, and the next one is dialled for those beyond it.
//!
//! A connection is closed when the server closes it, when it has been idle or open for too long, or when it has served
//! its number of requests, but never under one. How long it may be idle is the least of what the client says
//! ([`idle_timeout`](ClientBuilder::idle_timeout)), what the server says (`Keep-Alive`), and what the server was seen to
//! do: a request that crosses the server's FIN may have been sent, so none is sent on a connection nearly as old as those
//! that it closed, three of which have to agree. A connection is not used again after a reply with `Connection: close` or
//! of HTTP/1.0 without `keep-alive`, nor for a minute after three in a row ended at once behind a reply that did not say
//! so. HTTP/2 connections under a request are pinged every 60 s, TCP connections are probed.
//! A limit that passes on an HTTP/2 stream makes its connection a suspect: it is pinged at once, and takes no new requests
//! until it answers; without another request on it, it is closed.
//!
//! A limit that has passed ends a request after a last look at what has arrived: its connection's task reads what there
//! is, and only what has not come by then is missed.
//!
//! Each connection has one task, which dials, shakes hands, drives the connection until it is closed and closes idle
//! ones in passing. It is on the runtime of the request that needed the dial (or of the connection that made room for
//! it), and it ends with the client: it is all that this crate spawns (HTTP/2 adds one task a stream, from hyper).
//! Nothing is spawned and nothing is built for connecting when there is an idle connection.
//!
//! # Connecting
//!
//! A dial has up to three stages, each with a limit of its own that its error names: the look-up of the name, TCP, TLS.
//! A name is looked up once for all dials that want it at the same time; its addresses are kept for 30 s, as the system
//! does not tell for how long they hold, and dropped when none of them connects or the client is drained. A failed
//! look-up falls back on addresses of up to 10 minutes ago, and is not kept itself. Of several addresses the families
//! take turns; the next is tried when one has failed, or has not answered in 250 ms, and the first to answer wins
//! (RFC 8305).
//!
//! A dial belongs to the origin, not to the request that needed it. A request leaves at its own limit, and the dial
//! goes on for as long as the client's limits and that request's allow, whichever are longer. A later request does not
//! wait for one that has taken longer than its own limits by then; another is dialled beside it.
//!
//! Where there is a [`Proxy`], the name is the proxy's, and `connect` bounds all that it takes until there is a transport
//! to the origin: TCP, TLS with the proxy, and a tunnel. The environment says which proxy to use, as with curl, unless
//! [`ClientBuilder::proxy`] or [`ClientBuilder::no_proxy`] do; a request can have [its own](RequestBuilder::proxy).
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
//! # Middleware
//!
//! A request is a value until it is sent, and `send` is a future. So what goes around it can be a function, or a type of
//! the caller's, without a trait to implement. (What is to go around all requests of a client, wherever they are sent
//! from, is a [layer](ClientBuilder::layer).)
//!
//! ```
//! use outbound_client::{Client, Delivery, Error, Reply, RequestBuilder};
//! use tokio::time::Instant;
//! # use std::io;
//! # use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! /// Gives a request an id that the server's log will have too, and logs what came of it.
//! async fn logged<B>(id: u64, request: RequestBuilder<B>) -> Result<Reply, Error> {
//!     let (begun, target) = (Instant::now(), request.target().to_owned());
//!     let answer = request.header("x-request-id", id).send().await;
//!     match &answer {
//!         Ok(reply) => println!("{id} {target}: {} after {:?}", reply.status(), begun.elapsed()),
//!         Err(error) => println!("{id} {target}: {error}, {:?}", error.delivery()),
//!     }
//!     answer
//! }
//!
//! /// One service at several addresses. The next is asked only if the one before certainly did not see the request.
//! struct Mirrors(Vec<Client>);
//!
//! impl Mirrors {
//!     async fn send<B>(&self, request: impl Fn(&Client) -> RequestBuilder<B>) -> Result<Reply, Error> {
//!         let (last, others) = self.0.split_last().expect("one address at least");
//!         for (id, client) in (1..).zip(others) {
//!             match logged(id, request(client)).await {
//!                 Err(error) if error.delivery() == Delivery::NotSent => {}
//!                 answer => return answer,
//!             }
//!         }
//!         logged(0, request(last)).await
//!     }
//! }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Error> {
//! # let down = |_: &outbound_client::Origin| async { Err::<tokio::io::DuplexStream, _>(io::Error::other("down")) };
//! # let up = |_: &outbound_client::Origin| async {
//! #     let (near, mut far) = tokio::io::duplex(4096);
//! #     tokio::spawn(async move {
//! #         let mut request = vec![0; 4096];
//! #         let read = far.read(&mut request).await.unwrap();
//! #         assert!(String::from_utf8_lossy(&request[..read]).contains("x-request-id: 0\r\n"));
//! #         far.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await
//! #     });
//! #     Ok(near)
//! # };
//! # let down = Client::builder().base_url("http://a.test").connector(down).build()?;
//! # let up = Client::builder().base_url("http://b.test").connector(up).build()?;
//!
//! let mirrors = Mirrors(vec![down, up]);
//! let reply = mirrors.send(|client| client.get("/models")).await?;
//! assert_eq!(reply.text().await?, "ok");
//! # Ok(())
//! # }
//! ```
//!
//! # Coming from another client
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
//! | `response.error_for_status()?` | `reply.error_for_status().await?`: the error has the body |
//! | `response.bytes_stream()`, `.chunk()` | [`Reply::bytes_stream`], [`Reply::chunk`] |
//! | `error.is_timeout()`, `.is_connect()`, `.status()` | the same, and [`Error::kind`], [`Error::delivery`] |
//! | `.cookie_store(true)`, `.cookie_provider(jar)` | `ClientBuilder::cookies` |
//! | `Proxy::all(url)`, `.no_proxy()`, `.add_root_certificate(c)` | [`ClientBuilder::proxy`], [`ClientBuilder::no_proxy`], [`ClientBuilder::add_root_pem`] |
//! | `response.url()`, `.remote_addr()` | [`Reply::url`], [`Reply::remote_addr`] |
//! | `.connector_layer(l)`, `reqwest-middleware` | [`ClientBuilder::layer`] |
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
//! | `EventSource` | [`Reply::events`], over any method |
//! | `AbortController` | drop the future or the reply |
//!
//! # What it costs
//!
//! Beside a connection of hyper's that one holds oneself, a request on a warm connection makes at most two allocations
//! more, and five with a base URL, a key, headers and a body of JSON. Reading events makes none for each of them, as long
//! as those before it have been dropped. `cargo bench -p outbound-client-costs` counts that, and the instructions. More than
//! six fields in a head, with `host` and `content-length`, make it grow once.
//!
//! On Linux the smallest build has 72 crates below it, of which most are those of tokio, hyper and rustls. What features add
//! to that: `gzip` 7, `brotli` 6, `zstd` 5 (of these, 2 are the same ones), `cookies` 2, `digest` 15, `socks` none,
//! `websocket` 3, `test-kit` 1. What is compiled in and not used costs a request nothing.
//!
//! # What it does not do
//!
//! Cookies are kept with the feature `cookies` alone. No coding is asked for or undone without a feature: `gzip` (with deflate), `brotli`, `zstd`. No retries
//! but the one above, and no knowledge of providers: `outbound` puts these together. Until an HTTP/2 server has said how many streams it
//! allows, a first burst counts on 100; those that are too many wait inside the connection, as if for the head. Where
//! such a wait ends with a GOAWAY, the one at its front may have been sent for all that is known.
#![forbid(unsafe_code)]

mod alarm;
mod body;
mod charset;
mod client;
mod clock;
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
mod replica;
mod reply;
mod reply_body;
mod request;
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
