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
mod observe;
mod others;
mod parallel;
mod reservation;
mod reserve;
mod sends;
mod signals;
mod sliding;
mod snapshot;

pub use self::{
    builder::{BuildError, QuotaBuilder},
    charging::Charging,
    cost::Cost,
    dimension::{Dimension, Named},
    error::{Bottleneck, QuotaError},
    limiter::QuotaLimiter,
    reservation::{Charge, Reservation},
    reserve::Reserve,
    signals::{Reading, Signals},
    snapshot::{DimensionSnapshot, Snapshot},
};

#[cfg(test)]
mod tests;
