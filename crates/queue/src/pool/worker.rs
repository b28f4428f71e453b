//! One worker: its loop, and what it does about a failure.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use super::{
    catch::{CatchUnwind, Panicked, catch},
    failures::Failures,
    handler::Work,
    report::Failure,
    results::Results,
    size::WorkerGuard,
};
use crate::{Lease, Queue};

/// What happens after a delivery that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Redelivery {
    /// How often an item is delivered at most.
    pub(super) max_deliveries: u32,
    /// The wait after the first delivery, which doubles with each further one.
    pub(super) first_wait: Duration,
    pub(super) max_wait: Duration,
}

impl Redelivery {
    /// How long the item waits after this many deliveries.
    fn wait(&self, deliveries: u32) -> Duration {
        let doubled = 1_u32.checked_shl(deliveries.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first_wait.saturating_mul(doubled).min(self.max_wait)
    }
}

/// The loop of a worker.
pub(super) async fn run<T, K, R, W>(
    queue: Queue<T, K>,
    handler: Arc<W>,
    failures: Arc<Failures<T>>,
    mut guard: WorkerGuard,
    results: Arc<Results<R>>,
    redelivery: Redelivery,
) where
    K: Ord,
    W: Work<T, K, R>,
{
    let mut outbox = results.outbox();
    while let Some(mut lease) = next(&queue, &mut guard).await {
        if lease.deliveries() > redelivery.max_deliveries {
            let message = "all its deliveries were aborted".to_owned();
            let failure = failure(&lease, false, message);
            failures.give_up(lease.give_up(), failure);
            continue;
        }
        let handled = CatchUnwind::new(handler.work(&mut lease)).await;
        let failure = match handled {
            Ok(Ok(result)) => {
                if let Some(outbox) = &mut outbox {
                    outbox.put(result);
                }
                end(lease, &failures);
                if let Some(outbox) = &mut outbox {
                    outbox.deliver().await;
                }
                continue;
            }
            Ok(Err(message)) => failure(&lease, false, message),
            Err(Panicked(message)) => failure(&lease, true, message),
        };
        failures.add(&failure);
        if lease.deliveries() >= redelivery.max_deliveries {
            failures.give_up(lease.give_up(), failure);
        } else if !lease.is_delayed() {
            lease.delay_next_delivery(redelivery.wait(failure.delivery));
        }
    }
}

/// The next item. `None` if the queue is closed and empty, or if the worker is one too many.
async fn next<T, K: Ord>(queue: &Queue<T, K>, guard: &mut WorkerGuard) -> Option<Lease<T, K>> {
    let size = Arc::clone(guard.size());
    loop {
        // Made before the numbers are read, so that no change is missed.
        let mut changed = pin!(size.changed());
        if guard.is_dismissed() {
            return None;
        }
        let mut lease = pin!(queue.lease());
        let next = poll_fn(|cx| match lease.as_mut().poll(cx) {
            Poll::Ready(lease) => Poll::Ready(Some(lease)),
            Poll::Pending => changed.as_mut().poll(cx).map(|()| None),
        });
        if let Some(lease) = next.await {
            return lease;
        }
    }
}

/// The item is done. Its drop is foreign code, and a panic in it must not end the worker.
fn end<T, K: Ord>(lease: Lease<T, K>, failures: &Failures<T>) {
    let mut failure = failure(&lease, true, String::new());
    let item = lease.into_inner();
    if let Err(Panicked(message)) = catch(|| drop(item)) {
        failure.message = message;
        failures.add(&failure);
    }
}

fn failure<T, K: Ord>(lease: &Lease<T, K>, panicked: bool, message: String) -> Failure {
    Failure { number: lease.number(), delivery: lease.deliveries(), panicked, message }
}
