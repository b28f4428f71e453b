//! Async queues that lose nothing: pop, lease, join, close, worker pools.
#![forbid(unsafe_code)]

mod coop;
mod error;
mod join;
mod lease;
#[cfg(not(outbound_loom))]
mod pool;
mod pop;
mod push;
mod queue;
mod state;
mod store;

pub use crate::{
    error::{PushError, TryPopError, TryPushError},
    join::Join,
    lease::Lease,
    pop::{NextLease, Pop},
    push::Push,
    queue::Queue,
};

#[cfg(not(outbound_loom))]
pub use crate::pool::{Report, WorkerPool, WorkerPoolBuilder};
