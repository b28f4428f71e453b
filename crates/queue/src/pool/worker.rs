//! One worker, and what it shares with the others.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::Poll,
};

use tokio::sync::Notify;

use super::catch::CatchUnwind;
use crate::{Lease, Queue};

/// How many workers there are to be, and are.
#[derive(Default)]
pub(super) struct Crew {
    wanted: AtomicUsize,
    present: AtomicUsize,
    /// Tells the idle that there may be too many of them.
    changed: Notify,
}

/// One of the crew, however it ends.
pub(super) struct Member {
    crew: Arc<Crew>,
    /// Counted out already, as one too many.
    let_go: bool,
}

/// What the workers count.
pub(super) struct Tally<T> {
    panics: AtomicU64,
    exhausted: Mutex<Vec<T>>,
}

/// Where results go.
pub(super) enum Deliver<R> {
    Nowhere,
    Into(Queue<R>),
}

/// A worker's results on their way. What is in it when it is dropped goes on without waiting for a place.
struct Outbox<'a, R> {
    results: &'a Queue<R>,
    items: VecDeque<R>,
}

impl Crew {
    pub(super) fn present(&self) -> usize {
        self.present.load(Ordering::SeqCst)
    }

    pub(super) fn want(&self, workers: usize) {
        self.wanted.store(workers, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    pub(super) fn wants_more(&self) -> bool {
        self.present() < self.wanted.load(Ordering::SeqCst)
    }
}

impl Member {
    pub(super) fn new(crew: &Arc<Crew>) -> Self {
        crew.present.fetch_add(1, Ordering::SeqCst);
        Self { crew: Arc::clone(crew), let_go: false }
    }

    /// Whether there are too many. The one who is told so is counted out.
    fn is_let_go(&mut self) -> bool {
        let wanted = self.crew.wanted.load(Ordering::SeqCst);
        let one_less = |present: usize| (present > wanted).then(|| present - 1);
        self.let_go = self.crew.present.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok();
        self.let_go
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if !self.let_go {
            self.crew.present.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl<T> Tally<T> {
    pub(super) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    pub(super) fn take_exhausted(&self) -> Vec<T> {
        std::mem::take(&mut *self.exhausted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> Default for Tally<T> {
    fn default() -> Self {
        Self { panics: AtomicU64::new(0), exhausted: Mutex::new(Vec::new()) }
    }
}

impl<R> Deliver<R> {
    fn outbox(&self) -> Option<Outbox<'_, R>> {
        match self {
            Self::Nowhere => None,
            Self::Into(results) => Some(Outbox { results, items: VecDeque::new() }),
        }
    }
}

impl<R> Drop for Deliver<R> {
    fn drop(&mut self) {
        if let Self::Into(results) = self {
            results.close();
        }
    }
}

impl<R> Outbox<'_, R> {
    async fn deliver(&mut self, result: R) {
        self.items.push_back(result);
        if self.results.push_many(&mut self.items).await.is_err() {
            self.flush();
        }
    }

    fn flush(&mut self) {
        for result in self.items.drain(..) {
            self.results.push_beyond_capacity(result);
        }
    }
}

impl<R> Drop for Outbox<'_, R> {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The next item, or `None` if the queue is closed and empty, or the worker is one too many.
async fn next<T, K: Ord>(queue: &Queue<T, K>, member: &mut Member) -> Option<Lease<T, K>> {
    let crew = Arc::clone(&member.crew);
    loop {
        // Made before the look at the numbers, so that no change of them is missed.
        let mut changed = pin!(crew.changed.notified());
        if member.is_let_go() {
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

/// The life of a worker.
pub(super) async fn work<T, K, F, Fut>(
    queue: Queue<T, K>,
    handler: Arc<F>,
    tally: Arc<Tally<T>>,
    mut member: Member,
    deliver: Arc<Deliver<Fut::Output>>,
    max_deliveries: u32,
) where
    K: Ord,
    F: Fn(Lease<T, K>) -> Fut,
    Fut: Future,
{
    let mut outbox = deliver.outbox();
    while let Some(lease) = next(&queue, &mut member).await {
        if lease.deliveries() > max_deliveries {
            let item = lease.give_up();
            tally.exhausted.lock().unwrap_or_else(PoisonError::into_inner).push(item);
            continue;
        }
        // The handler is called inside, since it may panic before it has made a future.
        let handled = CatchUnwind::new(async { handler(lease).await });
        match handled.await {
            Ok(result) => {
                if let Some(outbox) = &mut outbox {
                    outbox.deliver(result).await;
                }
            }
            Err(_) => {
                tally.panics.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
