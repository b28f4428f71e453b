//! The client against servers that behave and servers that do not.

mod allocations;
mod arrived;
mod bodies;
mod builder;
mod cancel;
mod caps;
mod closing;
#[cfg(all(feature = "gzip", feature = "brotli", feature = "zstd"))]
mod codings;
mod connecting;
mod delivery;
mod dials;
mod edges;
mod events;
mod goaway;
mod http2;
mod layers;
mod lifetimes;
mod limits;
mod manage;
mod names;
mod pool;
mod prefixes;
mod reading;
mod redirects;
mod requests;
mod support;
mod suspects;
mod tls;
mod unreadable;
mod until;
