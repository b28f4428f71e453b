//! What one request costs its client over loopback, beside hyper's own connections.

pub(crate) mod server;

use std::{future::Future, time::Duration};

use tokio::time::Instant;

use crate::case::{Case, Kind, runtime};

/// Requests under way at the same time, where a group is about many.
pub(crate) const AT_ONCE: u64 = 16;

/// A case whose time is what this thread spent on the processor, in its own code and in the system's: the server's part,
/// and waiting for it, are none of it.
pub(crate) fn case<S, F>(
    name: &'static str,
    start: impl AsyncFn() -> S + 'static,
    run: impl Fn(S, u64) -> F + 'static,
) -> Case
where
    S: Clone + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let run = move |rounds| {
        runtime().block_on(async {
            let started = start().await;
            // Opens the connections.
            in_task(run(started.clone(), 2 * AT_ONCE)).await;
            let before = Spent::now();
            in_task(run(started, rounds)).await;
            before.elapsed()
        })
    };
    Case { name, kind: Kind::Peer, size: 0, run: Box::new(run) }
}

/// So many workers, each of which is told its number and its share.
pub(crate) async fn at_once<F>(rounds: u64, worker: impl Fn(usize, u64) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let workers: Vec<_> =
        (0..AT_ONCE as usize).map(|number| tokio::spawn(worker(number, rounds / AT_ONCE))).collect();
    for worker in workers {
        worker.await.expect("no panic");
    }
}

/// Not in the runtime's first future, for which a wake-up is a system call.
async fn in_task(future: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(future).await.expect("no panic");
}

enum Spent {
    OfTheProcessor(Duration),
    /// Where the system does not say: by the clock.
    Since(Instant),
}

impl Spent {
    fn now() -> Self {
        // The system adds up what was spent when a thread goes to sleep.
        std::thread::sleep(Duration::from_micros(1));
        match of_this_thread() {
            Some(spent) => Self::OfTheProcessor(spent),
            None => Self::Since(Instant::now()),
        }
    }

    fn elapsed(&self) -> Duration {
        match (self, Self::now()) {
            (Self::OfTheProcessor(before), Self::OfTheProcessor(now)) => now - *before,
            (Self::Since(before), _) => before.elapsed(),
            _ => unreachable!("the system says it each time, or never"),
        }
    }
}

/// Linux says it in nanoseconds.
fn of_this_thread() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos).filter(|spent| !spent.is_zero())
}
