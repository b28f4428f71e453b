//! Quotas in several dimensions at once, kept in step with what the server says.

mod builder;
mod charging;
mod cost;
mod desk;
mod dimension;
mod error;
mod gate;
mod learner;
mod level;
mod levels;
mod limiter;
mod limits;
mod meter;
mod observation;
mod observe;
mod others;
mod parallel;
mod reservation;
mod reserve;
mod sends;
mod sliding;
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
