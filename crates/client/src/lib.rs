//! One HTTP request well done: pool, TLS, bodies, events, limits, and whether it was delivered.
#![forbid(unsafe_code)]

mod body;
mod client;
mod clock;
mod connect;
mod connection;
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
mod tls;

pub use bytestring::ByteString;
pub use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

pub use crate::{
    client::{Client, ClientBuilder},
    connect::{Connect, Connecting, Transport},
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
};
