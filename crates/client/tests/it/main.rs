//! The client against servers that behave and servers that do not.

mod builder;
mod delivery;
mod dial;
mod events;
mod http2;
mod limits;
mod pool;
mod requests;
mod support;
mod tls;
