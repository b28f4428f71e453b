//! What the queue promises, over every flavour of it.

// The models take the place of these where locks are loom's.
#![cfg(not(outbound_loom))]
#![forbid(unsafe_code)]

mod aging;
mod allocations;
mod auto_traits;
mod close;
mod conformance;
mod counts;
mod delayed;
mod flavours;
mod join;
mod lease;
mod many;
mod model;
mod pool;
mod stress;
mod support;
mod wakes;
