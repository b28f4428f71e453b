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
mod values;

use std::time::Duration;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Real time goes by with the runtime idle, as it is while another thread works: the paused clock moves to whatever
/// wake-up there is.
async fn idle_in_real_time() {
    let (done, waiting) = tokio::sync::oneshot::channel();
    let worker = std::thread::spawn(move || {
        std::thread::park_timeout(Duration::from_millis(20));
        done.send(())
    });
    waiting.await.expect("the worker answers");
    worker.join().expect("the worker ends").expect("the answer is awaited");
}
