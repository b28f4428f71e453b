//! The kinds of queue, and what each gives out first.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{queue::Queue, rank::Order, store::Store};

impl<T> Queue<T> {
    /// A first-in, first-out queue for at most `capacity` items. Leased items count.
    ///
    /// Memory is allocated as items come, so a large capacity costs nothing.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn bounded(capacity: usize) -> Self {
        Self::new(Store::fifo(), capacity, Order::Arrival)
    }

    /// A first-in, first-out queue that is never full. Pushing never waits, so nothing slows down a producer that is
    /// faster than its consumers.
    pub fn unbounded() -> Self {
        Self::bounded(usize::MAX)
    }

    /// A last-in, first-out queue for at most `capacity` items; `usize::MAX` for no bound.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn lifo(capacity: usize) -> Self {
        Self::new(Store::lifo(), capacity, Order::Arrival)
    }

    /// A queue that gives out the item of the lowest rank first, and among equals the oldest. It holds at most `capacity`
    /// items; `usize::MAX` for no bound.
    ///
    /// `rank` returns the rank of an item. It is called outside the queue's lock, more than once for an item, and must
    /// return the same rank each time. Ranks below 64 cost the same however many items wait; others are kept in a heap.
    /// The two highest, `u32::MAX` and the one below, are one rank.
    ///
    /// A rank can be a class (interactive 0, batch 1), a size (shortest first) or a time (earliest first). An item waits
    /// as long as items of lower rank keep coming. [`aging`](Self::aging) is an order without this.
    ///
    /// ```
    /// use outbound_queue::Queue;
    ///
    /// let queue = Queue::priority(64, |job: &(u32, &str)| job.0);
    /// for job in [(2, "report"), (0, "chat"), (2, "index"), (0, "reply")] {
    ///     queue.try_push(job).expect("there is room");
    /// }
    /// let order: Vec<&str> = std::iter::from_fn(|| queue.try_pop().ok()).map(|job| job.1).collect();
    /// assert_eq!(order, ["chat", "reply", "report", "index"]);
    /// ```
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn priority(capacity: usize, rank: impl Fn(&T) -> u32 + Send + Sync + 'static) -> Self {
        Self::new(Store::priority(), capacity, Order::Rank(Arc::new(rank)))
    }

    /// A queue in the order of arrival, where an item of handicap `h` counts as if it had come `h` later. It holds at
    /// most `capacity` items; `usize::MAX` for no bound.
    ///
    /// This is linear aging. Items of a small handicap go ahead of others, but no item waits for ever: what comes later
    /// than an item's handicap (plus a sixteenth of a second, the resolution) never goes ahead of it. More exactly, `a`
    /// goes ahead of `b` if it came at most `h(b) - h(a)` later. The order of two items does not change while they wait,
    /// so nothing is sorted again. An item comes when its push is first polled. An item that was leased keeps its time.
    ///
    /// `handicap` is called outside the queue's lock, more than once for an item.
    ///
    /// ```
    /// use std::time::Duration;
    /// use outbound_queue::Queue;
    ///
    /// // A batch job waits for the interactive jobs that come within a minute after it, and for no later ones.
    /// struct Job { batch: bool }
    /// let handicap = |job: &Job| if job.batch { Duration::from_secs(60) } else { Duration::ZERO };
    /// let queue = Queue::aging(64, handicap);
    /// queue.try_push(Job { batch: true }).expect("there is room");
    /// queue.try_push(Job { batch: false }).expect("there is room");
    /// assert!(!queue.try_pop().expect("there are two").batch);
    /// ```
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn aging(capacity: usize, handicap: impl Fn(&T) -> Duration + Send + Sync + 'static) -> Self {
        let handicap = Arc::new(handicap);
        Self::new(Store::priority(), capacity, Order::Aging { handicap, since: Instant::now() })
    }
}

impl<T, K: Ord> Queue<T, K> {
    /// A queue that gives out the item of the lowest key first, and among equals the oldest. It holds at most `capacity`
    /// items; `usize::MAX` for no bound.
    ///
    /// The key may be of any type that has an order: a time, a name, a pair. [`Reverse`](std::cmp::Reverse) reverses the
    /// order. Where a `u32` is enough, [`priority`](Self::priority) is faster.
    ///
    /// `key` returns the key of an item. It is called outside the queue's lock, more than once for an item, and must
    /// return the same key each time. Keys are compared and dropped under the lock, and when a lease is dropped. The
    /// comparison and the drop must not use the queue and must not panic, or items are lost.
    ///
    /// ```
    /// use std::cmp::Reverse;
    /// use outbound_queue::Queue;
    ///
    /// let queue = Queue::by_key(64, |job: &(&str, f64)| Reverse((job.1 * 100.0) as i64));
    /// for job in [("low", 0.2), ("high", 0.9), ("middle", 0.5)] {
    ///     queue.try_push(job).expect("there is room");
    /// }
    /// let order: Vec<&str> = std::iter::from_fn(|| queue.try_pop().ok()).map(|job| job.0).collect();
    /// assert_eq!(order, ["high", "middle", "low"]);
    /// ```
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn by_key(capacity: usize, key: impl Fn(&T) -> K + Send + Sync + 'static) -> Self {
        Self::new(Store::priority(), capacity, Order::Key(Arc::new(key)))
    }
}
