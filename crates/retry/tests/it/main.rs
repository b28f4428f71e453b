//! What retries promise, on tokio's paused clock.

mod allocations;
mod api;
mod attempts;
mod budget;
mod call;
mod cancel;
mod hedge;
mod hints;
mod latencies;
mod model;
mod nested;
mod stream;
mod time;

use std::time::Duration;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
