//! The tests of the guarantees of limits. They run on tokio's paused clock, except those of real time.

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
