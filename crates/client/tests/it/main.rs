//! The client against servers that behave and servers that do not.

mod bodies;
mod builder;
mod delivery;
mod events;
mod http2;
mod limits;
mod pool;
mod reading;
mod requests;
mod support;
mod tls;
mod until;
