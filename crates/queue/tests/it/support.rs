//! Helpers: wakers that count, futures that are polled by hand, and one queue of each kind.

use std::{
    cmp::Reverse,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use outbound_queue::Queue;

/// A task that counts how often it is woken.
#[derive(Clone, Default)]
pub(crate) struct Task(Arc<Count>);

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Task {
    pub(crate) fn wakes(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    pub(crate) fn poll<F: Future + ?Sized>(&self, future: &mut Pin<Box<F>>) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.0));
        future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

/// A future together with the task that polls it.
pub(crate) struct Spawned<F> {
    pub(crate) future: Pin<Box<F>>,
    pub(crate) task: Task,
}

impl<F: Future> Spawned<F> {
    pub(crate) fn new(future: F) -> Self {
        Self { future: Box::pin(future), task: Task::default() }
    }

    pub(crate) fn poll(&mut self) -> Poll<F::Output> {
        self.task.poll(&mut self.future)
    }

    pub(crate) fn wakes(&self) -> usize {
        self.task.wakes()
    }

    /// A future that was polled once and waits.
    pub(crate) fn parked(future: F) -> Self {
        let mut this = Self::new(future);
        assert!(this.poll().is_pending(), "the future was expected to wait");
        this
    }
}

/// An item for a queue of any kind. Where there are ranks, the rank is its tens.
pub(crate) trait Item: 'static {
    fn tens(&self) -> u32;
}

impl Item for u32 {
    fn tens(&self) -> u32 {
        self / 10
    }
}

impl Item for Counted {
    fn tens(&self) -> u32 {
        0
    }
}

/// A queue of every kind with this capacity, and its name. The kind [with keys](keyed) has another type.
pub(crate) fn flavours(capacity: usize) -> Vec<(&'static str, Queue<u32>)> {
    flavours_of(capacity)
}

pub(crate) fn flavours_of<T: Item>(capacity: usize) -> Vec<(&'static str, Queue<T>)> {
    vec![
        ("fifo", Queue::bounded(capacity)),
        ("lifo", Queue::lifo(capacity)),
        ("priority", Queue::priority(capacity, T::tens)),
        ("priority, all equal", Queue::priority(capacity, |_| 7)),
        // Above the ranks that have a FIFO of their own.
        ("priority, heap", Queue::priority(capacity, |item: &T| 100 + item.tens())),
        // The handicaps differ by more than any test takes.
        ("aging", Queue::aging(capacity, |item: &T| Duration::from_secs(3600) * item.tens())),
    ]
}

/// A queue with keys, which has another type.
pub(crate) fn keyed<T: Item>(capacity: usize) -> [(&'static str, Queue<T, Reverse<i64>>); 1] {
    [("by key", Queue::by_key(capacity, |item: &T| Reverse(-i64::from(item.tens()))))]
}

/// Runs the same code on every kind of queue, also with keys, with numbers as items or with the type that is given.
macro_rules! on_every_flavour {
    ($capacity:expr, |$name:ident, $queue:ident| $body:block) => {
        $crate::support::on_every_flavour!($capacity, u32, |$name, $queue| $body)
    };
    ($capacity:expr, $item:ty, |$name:ident, $queue:ident| $body:block) => {
        for ($name, $queue) in $crate::support::flavours_of::<$item>($capacity) $body
        for ($name, $queue) in $crate::support::keyed::<$item>($capacity) $body
    };
}

pub(crate) use on_every_flavour;

/// An item that counts how many of its kind are alive.
#[derive(Debug)]
pub(crate) struct Counted(#[expect(dead_code, reason = "it is there to be dropped")] Arc<()>);

pub(crate) struct Counter(Arc<()>);

impl Counter {
    pub(crate) fn new() -> Self {
        Self(Arc::new(()))
    }

    pub(crate) fn item(&self) -> Counted {
        Counted(Arc::clone(&self.0))
    }

    pub(crate) fn alive(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}
