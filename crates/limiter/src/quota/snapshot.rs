//! Where a quota stands, for those who want to show it.

use std::time::Duration;

use tokio::time::Instant;

use super::{dimension::QuotaDimension, error::Bottleneck};

/// Where a quota stands at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The limits in force, told or learned.
    pub dimensions: Vec<DimensionSnapshot>,
    /// What is granted, of the dimensions that are counted by grants.
    pub granted: Vec<GrantSnapshot>,
    /// How many reservations and charges there are.
    pub in_flight: usize,
    /// How many there may be.
    pub max_concurrent: Option<usize>,
    /// How many requests wait.
    pub waiting: usize,
    /// Until when nobody is let through, after a refusal.
    pub gate_closed_until: Option<Instant>,
    /// What the one at the head of the line waits for.
    pub bottleneck: Option<Bottleneck>,
    /// When that one can go, if that is known.
    pub next_admission: Option<Instant>,
}

/// What is granted of one dimension, in a [`Snapshot`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct GrantSnapshot {
    /// What is counted.
    pub dimension: QuotaDimension,
    /// How much could be had at once. 0 in debt.
    pub available: u64,
    /// How much more has to be granted before all who wait here can go, those at quotas below not counted: what they want
    /// and what is owed, less what is there.
    pub wanted: u64,
}

/// One limit of a [`Snapshot`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DimensionSnapshot {
    /// What is counted.
    pub dimension: QuotaDimension,
    /// The time for which the limit is.
    pub window: Duration,
    /// How much is allowed per window.
    pub limit: u64,
    /// How much could be had at once. 0 in debt.
    pub available: u64,
}
