//! Concurrency limits, rates and quotas that are fair and exact.
#![forbid(unsafe_code)]

mod closed;
mod concurrency;
mod sync;

pub use crate::{
    closed::Closed,
    concurrency::{Acquire, AcquireOwned, ConcurrencyLimiter, OwnedPermit, Permit, Run, TryAcquireError},
};
