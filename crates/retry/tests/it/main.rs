//! The tests of the guarantees of retries and hedges, on tokio's paused clock.

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
mod values;

use std::time::Duration;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Lets real time pass while the runtime is idle, as when it waits for another thread. An idle paused clock moves to the
/// next wake-up that is registered.
async fn idle_in_real_time() {
    let (done, waiting) = tokio::sync::oneshot::channel();
    let worker = std::thread::spawn(move || {
        std::thread::park_timeout(Duration::from_millis(20));
        done.send(())
    });
    waiting.await.expect("the worker answers");
    worker.join().expect("the worker ends").expect("the receiver is still there");
}
