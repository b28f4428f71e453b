//! Quotas: limits in several dimensions at once, corrected by what the server says.

mod builder;
mod charging;
mod cost;
mod dimension;
mod error;
mod gate;
mod hierarchy;
mod learner;
mod level;
mod limiter;
mod limits;
mod log_detector;
mod meter;
mod observation;
mod observe;
mod other_clients;
mod parallel;
mod policy;
mod reservation;
mod reserve;
mod sends;
mod snapshot;
mod strict;

pub use self::{
    builder::{BuildError, QuotaBuilder},
    charging::Charging,
    cost::Cost,
    dimension::{Named, QuotaDimension},
    error::{Bottleneck, QuotaError},
    limiter::QuotaLimiter,
    observation::{Observation, Reading},
    reservation::{Charge, Reservation},
    reserve::Reserve,
    snapshot::{DimensionSnapshot, GrantSnapshot, Snapshot},
};

#[cfg(test)]
mod tests;
