//! Ours and the peers, behind one trait.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use outbound_queue::{Lease, Queue};
use tokio::sync::{Semaphore, mpsc};

/// What is sent.
pub(super) trait Item: Default + Clone + Send + Sync + Unpin + 'static {
    fn numbered(number: u64) -> Self;
    fn number(&self) -> u64;

    /// One of eight classes, and one behind them for what ends a consumer.
    fn rank(&self) -> u32 {
        if self.number() == END { 63 } else { (self.number() % 8) as u32 }
    }
}

/// The number of what tells a consumer to end. Closing differs too much from one to the other.
pub(super) const END: u64 = u64::MAX;

/// Sends and receives as it is written by who uses it. `&mut`, since some have but one consumer.
pub(super) trait Channel<T: Item>: 'static {
    const NAME: &'static str;
    const CLOSES: bool = true;

    type Sender: Clone + Send + Sync + 'static;
    type Receiver: Send + 'static;

    fn new(capacity: usize) -> (Self::Sender, Self::Receiver);
    fn send(sender: &Self::Sender, item: T) -> impl Future<Output: Sent> + Send;
    fn receive(receiver: &mut Self::Receiver) -> impl Future<Output: Received<T>> + Send;
    fn try_send(sender: &Self::Sender, item: T) -> bool;
    fn try_receive(receiver: &mut Self::Receiver) -> Option<T>;
    /// `None` if there is but one consumer.
    fn another(receiver: &Self::Receiver) -> Option<Self::Receiver>;

    /// The last sender is gone, or says so.
    fn close(sender: Self::Sender) {
        drop(sender);
    }
}

/// Whether it was taken.
pub(super) trait Sent {
    fn accepted(self) -> bool;
}

/// An item, unless there is to be none any more.
pub(super) trait Received<T> {
    fn item(self) -> Option<T>;
}

macro_rules! channel {
    ($channel:ident, $name:literal $(, $no_close:ident)?:
     $sender:ty, $receiver:ty, $new:expr;
     send: |$tx:ident, $item:ident| $send:expr, $try_send:expr;
     receive: |$rx:ident| $receive:expr, $try_receive:expr, $another:expr
     $(; close: |$closed:ident| $close:expr)?) => {
        pub(super) struct $channel;

        impl<T: Item> Channel<T> for $channel {
            const NAME: &'static str = $name;
            $(const CLOSES: bool = channel!($no_close);)?

            type Sender = $sender;
            type Receiver = $receiver;

            fn new(capacity: usize) -> (Self::Sender, Self::Receiver) {
                $new(capacity)
            }

            fn send($tx: &Self::Sender, $item: T) -> impl Future<Output: Sent> + Send {
                $send
            }

            fn receive($rx: &mut Self::Receiver) -> impl Future<Output: Received<T>> + Send {
                $receive
            }

            fn try_send($tx: &Self::Sender, $item: T) -> bool {
                $try_send
            }

            fn try_receive($rx: &mut Self::Receiver) -> Option<T> {
                $try_receive
            }

            fn another($rx: &Self::Receiver) -> Option<Self::Receiver> {
                $another
            }

            $(fn close($closed: Self::Sender) {
                $close;
            })?
        }
    };
    (never_closes) => { false };
}

channel!(Fifo, "outbound":
    Queue<T>, Queue<T>, |capacity| twice(&Queue::bounded(capacity));
    send: |tx, item| tx.push(item), tx.try_push(item).is_ok();
    receive: |rx| rx.pop(), rx.try_pop().ok(), Some(rx.clone());
    close: |tx| tx.close());

channel!(Leased, "outbound, lease":
    Queue<T>, Queue<T>, |capacity| twice(&Queue::bounded(capacity));
    send: |tx, item| tx.push(item), tx.try_push(item).is_ok();
    receive: |rx| rx.lease(), rx.try_lease().ok().map(Lease::into_inner), Some(rx.clone());
    close: |tx| tx.close());

channel!(Priority, "outbound, priority":
    Queue<T>, Queue<T>, |capacity| twice(&Queue::priority(capacity, T::rank));
    send: |tx, item| tx.push(item), tx.try_push(item).is_ok();
    receive: |rx| rx.pop(), rx.try_pop().ok(), Some(rx.clone());
    close: |tx| tx.close());

channel!(Keyed, "outbound, by key":
    Queue<T, u32>, Queue<T, u32>, |capacity| twice(&Queue::by_key(capacity, T::rank));
    send: |tx, item| tx.push(item), tx.try_push(item).is_ok();
    receive: |rx| rx.pop(), rx.try_pop().ok(), Some(rx.clone());
    close: |tx| tx.close());

channel!(AsyncChannel, "async-channel":
    async_channel::Sender<T>, async_channel::Receiver<T>, async_channel::bounded;
    send: |tx, item| tx.send(item), tx.try_send(item).is_ok();
    receive: |rx| rx.recv(), rx.try_recv().ok(), Some(rx.clone()));

channel!(Flume, "flume":
    flume::Sender<T>, flume::Receiver<T>, flume::bounded;
    send: |tx, item| tx.send_async(item), tx.try_send(item).is_ok();
    receive: |rx| rx.recv_async(), rx.try_recv().ok(), Some(rx.clone()));

channel!(Kanal, "kanal":
    kanal::AsyncSender<T>, kanal::AsyncReceiver<T>, kanal::bounded_async;
    send: |tx, item| tx.send(item), tx.try_send(item) == Ok(true);
    receive: |rx| rx.recv(), rx.try_recv().ok().flatten(), Some(rx.clone()));

channel!(Crossfire, "crossfire mpmc":
    crossfire::MAsyncTx<crossfire::mpmc::Array<T>>, crossfire::MAsyncRx<crossfire::mpmc::Array<T>>,
    crossfire::mpmc::bounded_async;
    send: |tx, item| tx.send(item), tx.try_send(item).is_ok();
    receive: |rx| rx.recv(), rx.try_recv().ok(), Some(rx.clone()));

channel!(Loole, "loole":
    loole::Sender<T>, loole::Receiver<T>, loole::bounded;
    send: |tx, item| tx.send_async(item), tx.try_send(item).is_ok();
    receive: |rx| rx.recv_async(), rx.try_recv().ok(), Some(rx.clone()));

channel!(Deadqueue, "deadqueue", never_closes:
    Arc<deadqueue::limited::Queue<T>>, Arc<deadqueue::limited::Queue<T>>,
    |capacity| twice(&Arc::new(deadqueue::limited::Queue::new(capacity)));
    send: |tx, item| tx.push(item), tx.try_push(item).is_ok();
    receive: |rx| async { Some(rx.pop().await) }, rx.try_pop(), Some(rx.clone()));

// Several consumers share the one there is, behind a lock.
channel!(SharedMpsc, "tokio mpsc, receiver in a Mutex":
    mpsc::Sender<T>, Arc<tokio::sync::Mutex<mpsc::Receiver<T>>>, |capacity| {
        let (sender, receiver) = mpsc::channel(capacity);
        (sender, Arc::new(tokio::sync::Mutex::new(receiver)))
    };
    send: |tx, item| tx.send(item), tx.try_send(item).is_ok();
    receive: |rx| async { rx.lock().await.recv().await },
        rx.try_lock().ok().and_then(|mut receiver| receiver.try_recv().ok()),
        Some(rx.clone()));

channel!(Mpsc, "tokio mpsc (1 consumer)":
    mpsc::Sender<T>, mpsc::Receiver<T>, mpsc::channel;
    send: |tx, item| tx.send(item), tx.try_send(item).is_ok();
    receive: |rx| rx.recv(), rx.try_recv().ok(), { _ = rx; None });

channel!(CrossfireMpsc, "crossfire mpsc (1 consumer)":
    crossfire::MAsyncTx<crossfire::mpsc::Array<T>>, crossfire::AsyncRx<crossfire::mpsc::Array<T>>,
    crossfire::mpsc::bounded_async;
    send: |tx, item| tx.send(item), tx.try_send(item).is_ok();
    receive: |rx| rx.recv(), rx.try_recv().ok(), { _ = rx; None });

channel!(Thingbuf, "thingbuf mpsc (1 consumer)":
    thingbuf::mpsc::Sender<T>, thingbuf::mpsc::Receiver<T>, thingbuf::mpsc::channel;
    send: |tx, item| tx.send(item), tx.try_send(item).is_ok();
    receive: |rx| rx.recv(), rx.try_recv().ok(), { _ = rx; None });

channel!(PriorityChannel, "async-priority-channel":
    async_priority_channel::Sender<T, Reverse<u32>>, async_priority_channel::Receiver<T, Reverse<u32>>,
    |capacity| async_priority_channel::bounded(capacity as u64);
    send: |tx, item| { let rank = item.rank(); tx.send(item, Reverse(rank)) },
        { let rank = item.rank(); tx.try_send(item, Reverse(rank)).is_ok() };
    receive: |rx| rx.recv(), rx.try_recv().ok().map(|(item, _)| item), Some(rx.clone()));

// What is written where no crate is at hand.
channel!(HeapAndSemaphores, "Mutex<BinaryHeap> and Semaphores (priority)", never_closes:
    Arc<Heap<T>>, Arc<Heap<T>>, |capacity| twice(&Arc::new(Heap::new(capacity)));
    send: |tx, item| tx.send(item), tx.try_send(item);
    receive: |rx| rx.receive(), rx.try_receive(), Some(rx.clone()));

pub(super) struct Heap<T> {
    items: Mutex<BinaryHeap<Ranked<T>>>,
    arrivals: AtomicU64,
    places: Semaphore,
    filled: Semaphore,
}

struct Ranked<T>(Reverse<(u32, u64)>, T);

impl<T: Item> Heap<T> {
    fn new(capacity: usize) -> Self {
        Self {
            items: Mutex::default(),
            arrivals: AtomicU64::new(0),
            places: Semaphore::new(capacity),
            filled: Semaphore::new(0),
        }
    }

    async fn send(&self, item: T) {
        self.places.acquire().await.expect("it is never closed").forget();
        self.put(item);
    }

    async fn receive(&self) -> Option<T> {
        self.filled.acquire().await.expect("it is never closed").forget();
        self.take()
    }

    fn try_send(&self, item: T) -> bool {
        let Ok(place) = self.places.try_acquire() else { return false };
        place.forget();
        self.put(item);
        true
    }

    fn try_receive(&self) -> Option<T> {
        self.filled.try_acquire().ok()?.forget();
        self.take()
    }

    fn put(&self, item: T) {
        let key = Reverse((item.rank(), self.arrivals.fetch_add(1, Relaxed)));
        self.items.lock().expect("nobody panics").push(Ranked(key, item));
        self.filled.add_permits(1);
    }

    fn take(&self) -> Option<T> {
        let first = self.items.lock().expect("nobody panics").pop();
        self.places.add_permits(1);
        first.map(|Ranked(_, item)| item)
    }
}

impl<T> Ord for Ranked<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl<T> PartialOrd for Ranked<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Ranked<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Ranked<T> {}

fn twice<Q: Clone>(queue: &Q) -> (Q, Q) {
    (queue.clone(), queue.clone())
}

impl Item for u64 {
    fn numbered(number: u64) -> Self {
        number
    }

    fn number(&self) -> u64 {
        *self
    }
}

/// 64 bytes.
impl Item for [u64; 8] {
    fn numbered(number: u64) -> Self {
        [number; 8]
    }

    fn number(&self) -> u64 {
        self[0]
    }
}

/// One that knows how many of its kind are left.
impl Item for Arc<()> {
    fn numbered(_: u64) -> Self {
        Self::default()
    }

    fn number(&self) -> u64 {
        0
    }
}

impl Sent for () {
    fn accepted(self) -> bool {
        true
    }
}

impl<E> Sent for Result<(), E> {
    fn accepted(self) -> bool {
        self.is_ok()
    }
}

impl<T> Received<T> for Option<T> {
    fn item(self) -> Option<T> {
        self
    }
}

impl<T> Received<T> for Option<Lease<T>> {
    fn item(self) -> Option<T> {
        self.map(Lease::into_inner)
    }
}

impl<T, E> Received<T> for Result<T, E> {
    fn item(self) -> Option<T> {
        self.ok()
    }
}

impl<T, P, E> Received<T> for Result<(T, P), E> {
    fn item(self) -> Option<T> {
        self.ok().map(|(item, _)| item)
    }
}
