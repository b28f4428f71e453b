//! Tests of the layers, on tokio's paused clock.

mod api;
mod limit;
mod retry;
mod retry_after;
mod timeout;

use std::time::Duration;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
