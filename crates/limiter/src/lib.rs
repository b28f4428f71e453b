//! Concurrency limits, rates and quotas that are fair and exact.
#![forbid(unsafe_code)]

mod bucket;
mod closed;
mod concurrency;
mod line;
mod quota;
mod rate;
mod sync;

pub use crate::{
    closed::Closed,
    concurrency::{Acquire, AcquireOwned, ConcurrencyLimiter, OwnedPermit, Permit, Run, TryAcquireError},
    quota::{
        Bottleneck, BuildError, Charge, Cost, Dimension, DimensionSnapshot, QuotaBuilder, QuotaError,
        QuotaLimiter, Reading, Reservation, Reserve, Signals, Snapshot,
    },
    rate::{AcquireRate, Rate, RateError, RateLimiter},
};
