//! The tests of the guarantees of queues, on every kind of queue.

// Under loom only the models in `src/tests.rs` run.
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
