//! The queues there are, and what each gives out first.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{queue::Queue, rank::Order, store::Store};

impl<T> Queue<T> {
    /// A first-in, first-out queue for at most `capacity` items, those on a lease included.
    ///
    /// Memory is taken as items come, so a large capacity costs nothing.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn bounded(capacity: usize) -> Self {
        Self::new(Store::fifo(), capacity, Order::Arrival)
    }

    /// A first-in, first-out queue that is never full: pushing never waits, and nothing holds back a producer that is
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

    /// A queue that gives out the item of the lowest rank first, and among equals the one that came first, for at
    /// most `capacity` items; `usize::MAX` for no bound.
    ///
    /// `rank` reads the rank off an item, and may capture what it needs for that. It is called outside the queue's lock, more than once for an item, and must
    /// say the same each time. Ranks below 64 cost the same however many items wait; others are kept in a heap. The two
    /// highest, `u32::MAX` and the one below, are one rank.
    ///
    /// A rank can be a class (interactive 0, batch 1), a size (shortest first) or a time (earliest first). An item
    /// waits for as long as better ones keep coming: see [`aging`](Self::aging) for an order in which that ends.
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

    /// A queue that gives out first what came first, where an item of handicap `h` counts as having come `h` later than
    /// it did; for at most `capacity` items, `usize::MAX` for no bound.
    ///
    /// This is linear aging: items of a small handicap go ahead, and none waits for ever behind them, since what
    /// comes later than an item's handicap (and a sixteenth of a second, the ranks' resolution) never goes ahead of
    /// it. More exactly, `a` goes ahead of `b` if it came at most `h(b) - h(a)` later. The order of two items does not
    /// change while they wait, so nothing is ever sorted again. An item comes when its push is first polled; one that
    /// was leased keeps its time.
    ///
    /// `handicap` is called outside the queue's lock, more than once for an item.
    ///
    /// ```
    /// use std::time::Duration;
    /// use outbound_queue::Queue;
    ///
    /// // A batch job waits while interactive ones keep coming, but for no more than a minute of them.
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
    /// A queue that gives out the item of the lowest key first, and among equals the one that came first, for at most
    /// `capacity` items; `usize::MAX` for no bound.
    ///
    /// The key may be of any type that has an order: a time, a name, a pair. [`Reverse`](std::cmp::Reverse) turns it
    /// round. Where a `u32` will do, [`priority`](Self::priority) is faster.
    ///
    /// `key` reads the key off an item. It is called outside the queue's lock, more than once for an item, and must say
    /// the same each time. Keys are compared and dropped under the lock, and when a lease is dropped: neither may use the
    /// queue, nor panic, or items are lost.
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
