//! Wakers that count, futures polled by hand, and the flavours every promise is checked on.

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

    /// Polled once, and expected to wait.
    pub(crate) fn parked(future: F) -> Self {
        let mut this = Self::new(future);
        assert!(this.poll().is_pending(), "it has nothing to wait for");
        this
    }
}

/// Something to put into a queue of any flavour. Ranks, where there are any, are its tens.
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

/// Every flavour with room for `capacity`, by its name, but for that [with keys](keyed).
pub(crate) fn flavours(capacity: usize) -> Vec<(&'static str, Queue<u32>)> {
    flavours_of(capacity)
}

pub(crate) fn flavours_of<T: Item>(capacity: usize) -> Vec<(&'static str, Queue<T>)> {
    vec![
        ("fifo", Queue::bounded(capacity)),
        ("lifo", Queue::lifo(capacity)),
        ("priority", Queue::priority(capacity, T::tens)),
        ("priority, all equal", Queue::priority(capacity, |_| 7)),
        // Beyond the classes that have a FIFO of their own.
        ("priority, heap", Queue::priority(capacity, |item: &T| 100 + item.tens())),
        // Far enough from each other that no test takes so long.
        ("aging", Queue::aging(capacity, |item: &T| Duration::from_secs(3600) * item.tens())),
    ]
}

/// Another flavour, of another type.
pub(crate) fn keyed<T: Item>(capacity: usize) -> [(&'static str, Queue<T, Reverse<i64>>); 1] {
    [("by key", Queue::by_key(capacity, |item: &T| Reverse(-i64::from(item.tens()))))]
}

/// Does the same with every flavour, that with keys included, of numbers or of what it says.
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
