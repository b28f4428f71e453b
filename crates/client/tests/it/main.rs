//! Tests of the client, against servers that behave well and servers that do not.

mod allocations;
mod arrived;
mod auth;
mod bodies;
mod builder;
mod cancel;
mod caps;
mod closing;
#[cfg(all(feature = "gzip", feature = "brotli", feature = "zstd"))]
mod codings;
mod connecting;
#[cfg(feature = "cookies")]
mod cookies;
mod delivery;
mod dials;
mod edges;
mod egress;
mod events;
mod expect;
mod files;
mod floods;
mod fuzz;
mod goaway;
mod hops;
mod http2;
mod layers;
mod lifetimes;
mod limits;
mod manage;
mod names;
mod pool;
mod prefixes;
mod proxies;
mod reading;
mod redirects;
mod requests;
mod support;
mod suspects;
#[cfg(feature = "test-kit")]
mod test_kit;
mod tls;
mod trust;
mod unreadable;
mod until;
#[cfg(feature = "websocket")]
mod websocket;
