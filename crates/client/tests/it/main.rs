//! The client against servers that behave and servers that do not.

mod allocations;
mod arrived;
mod bodies;
mod builder;
mod cancel;
mod caps;
mod closing;
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
mod pool;
mod prefixes;
mod reading;
mod requests;
mod support;
mod tls;
mod until;
