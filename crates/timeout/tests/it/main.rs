//! What limits promise, on tokio's paused clock unless real time is the point.

mod allocations;
mod api;
mod differential;
mod eventfd;
mod future;
mod handle;
mod starvation;
mod stream;
mod until;

use std::time::Duration;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
