//! A snapshot of a quota, for display.

use std::time::Duration;

use tokio::time::Instant;

use super::{dimension::QuotaDimension, error::Bottleneck};

/// The state of a quota at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The limits in force, from the user, from the server, or learned.
    pub dimensions: Vec<DimensionSnapshot>,
    /// The dimensions that are counted by grants.
    pub granted: Vec<GrantSnapshot>,
    /// How many reservations and charges there are.
    pub in_flight: usize,
    /// How many there may be.
    pub max_concurrent: Option<usize>,
    /// How many requests wait.
    pub waiting: usize,
    /// Until when nothing is admitted, after a refusal.
    pub gate_closed_until: Option<Instant>,
    /// What the first waiting request waits for.
    pub bottleneck: Option<Bottleneck>,
    /// When that request can be admitted, if it is known.
    pub next_admission: Option<Instant>,
}

/// The grants of one dimension, in a [`Snapshot`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct GrantSnapshot {
    /// What is counted.
    pub dimension: QuotaDimension,
    /// How many units could be taken now. 0 in debt.
    pub available: u64,
    /// How many units were used beyond what was granted.
    pub owed: u64,
    /// What all requests cost that wait here or at a quota below. Those that wait at a closed gate are not counted.
    pub queued: u64,
    /// What the first request of a queue costs, here or at a quota below: the largest of them.
    pub first: u64,
    /// How many more units have to be granted before all these requests can be admitted: what they cost, plus what is owed,
    /// minus what is available.
    pub wanted: u64,
}

/// One limit of a [`Snapshot`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DimensionSnapshot {
    /// What is counted.
    pub dimension: QuotaDimension,
    /// The window of the limit.
    pub window: Duration,
    /// How much is allowed per window.
    pub limit: u64,
    /// How many units could be taken now. 0 in debt.
    pub available: u64,
    /// What the server last said remains, and when the reply came that said it. `None` also if the user's limit is lower than the
    /// server's.
    pub server_remaining: Option<(Instant, u64)>,
    /// It was learned from refusals, as an estimate. Neither the user nor the server has named it.
    pub learned: bool,
}
