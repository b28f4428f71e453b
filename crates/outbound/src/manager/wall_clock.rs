//! The wall clock, read once.

use std::time::SystemTime;

use tokio::time::Instant;

/// Wall-clock time computed from tokio's clock. So it stands still, or jumps, when tokio's clock does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WallClock {
    started: Instant,
    anchor: SystemTime,
}

impl WallClock {
    pub(crate) fn starting_at(anchor: SystemTime) -> Self {
        Self { started: Instant::now(), anchor }
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.anchor + self.started.elapsed()
    }
}
