//! What the queue promises, over every flavour of it.

#![forbid(unsafe_code)]

mod auto_traits;
mod cancel;
mod close;
mod flavours;
mod join;
mod lease;
mod model;
mod pool;
mod stress;
mod support;
mod wakes;
