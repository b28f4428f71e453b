//! Async queues that lose nothing: FIFO, LIFO and priority, leases, joins, shutdowns and worker pools.
//!
//! A [`Queue`] passes items between tasks, from as many as push to as many as pop. What it is given comes out once or
//! is handed back: to a push that was refused, to [`take_all`](Queue::take_all), or in the [`Report`] of a
//! [`WorkerPool`] that was shut down.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use outbound_queue::{Lease, Queue, WorkerPool};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! // `Ok` is done. After an error, as after a panic, the job is delivered again, here after ten milliseconds.
//! let queue = Queue::bounded(64);
//! let pool = WorkerPool::spawn(queue.clone(), 4, async |job: &mut Lease<u32>| {
//!     if **job == 7 && job.deliveries() == 1 {
//!         job.delay_next_delivery(Duration::from_millis(10));
//!         return Err("the seventh fails at first".into());
//!     }
//!     Ok(())
//! });
//! for job in 0..100 {
//!     queue.push(job).await.expect("nobody has closed it");     // waits while there are 64 unfinished
//! }
//! queue.join().await;                                           // all are done, the seventh at the second try
//! let report = pool.shutdown(Duration::from_secs(30)).await;    // what is left would be in here
//! assert_eq!((report.done, report.errors), (100, 1));
//! println!("{}", report.failures[0]);                           // item 7, delivery 1 failed: the seventh fails at first
//! # }
//! ```
//!
//! # What to use
//!
//! | to | use |
//! |---|---|
//! | hand an item over, and be done with it | [`push`](Queue::push), [`pop`](Queue::pop), [`try_push`](Queue::try_push), [`try_pop`](Queue::try_pop) |
//! | move many at once, or take them as a stream | [`push_many`](Queue::push_many), [`pop_many`](Queue::pop_many), [`items`](Queue::items) |
//! | put something in for later | [`push_after`](Queue::push_after), [`push_at`](Queue::push_at) |
//! | keep an item safe until its work is done | [`lease`](Queue::lease), [`Lease::done`] |
//! | try again later with an item that failed | [`Lease::delay_next_delivery`] |
//! | wait until all is done | [`join`](Queue::join) |
//! | take no more, and finish what there is | [`close`](Queue::close) |
//! | take no more, and have what there is | [`close_now`](Queue::close_now) |
//! | serve the newest, or the most urgent, first | [`Queue::lifo`], [`Queue::priority`], [`Queue::by_key`] |
//! | serve the urgent first, and let nobody wait for ever | [`Queue::aging`] |
//! | see how much there is | [`len`](Queue::len), [`is_full`](Queue::is_full), [`leased`](Queue::leased), [`delayed`](Queue::delayed), [`unfinished`](Queue::unfinished), or all counts at once by `Debug` |
//! | work on all of it, several at a time | [`WorkerPool`] |
//! | share a client or another queue among the workers | [`spawn_with`](WorkerPool::spawn_with) |
//! | have the results as a stream, or as the next stage's queue | [`results`](WorkerPoolBuilder::results) |
//! | try again a job that failed, and be handed what never works | [`redelivery_wait`](WorkerPoolBuilder::redelivery_wait), [`max_deliveries`](WorkerPoolBuilder::max_deliveries), [`take_exhausted`](WorkerPool::take_exhausted) |
//!
//! Coming from elsewhere:
//!
//! | asyncio | tokio mpsc | p-queue | here |
//! |---|---|---|---|
//! | `Queue(n)`, `Queue()` | `channel(n)`, `unbounded_channel()` | | [`bounded`](Queue::bounded), [`unbounded`](Queue::unbounded) |
//! | `put`, `put_nowait` | `send`, `try_send` | `add` | [`push`](Queue::push), [`try_push`](Queue::try_push) |
//! | `QueueFull`, `QueueEmpty`, `QueueShutDown` | `TrySendError`, `TryRecvError`, `SendError` | | [`TryPushError`], [`TryPopError`], [`PushError`]; a [`pop`](Queue::pop) of a closed queue gives `None` |
//! | `get`, `get_nowait` | `recv`, `try_recv` | | [`pop`](Queue::pop), [`try_pop`](Queue::try_pop) |
//! | | `recv_many` | `addAll` | [`pop_many`](Queue::pop_many), [`push_many`](Queue::push_many) |
//! | | `ReceiverStream` | | [`items`](Queue::items) |
//! | `loop.call_later(d, q.put_nowait, x)` | | | [`push_after`](Queue::push_after) |
//! | `get` ... `task_done` | | | [`lease`](Queue::lease) ... [`done`](Lease::done), which cannot be called twice |
//! | `join` | | `onIdle` | [`join`](Queue::join) |
//! | `shutdown()` | `close` | | [`close`](Queue::close) |
//! | `shutdown(immediate=True)` | | `clear` | [`close_now`](Queue::close_now) |
//! | `PriorityQueue`, `LifoQueue` | | `priority` | [`priority`](Queue::priority) or [`by_key`](Queue::by_key), [`lifo`](Queue::lifo) |
//! | `qsize`, `maxsize` | `len`, `max_capacity` | `size`, `pending` | [`len`](Queue::len), [`capacity`](Queue::capacity), [`leased`](Queue::leased) |
//! | `empty`, `full` | `is_empty`, `capacity() == 0` | | [`is_empty`](Queue::is_empty), [`is_full`](Queue::is_full) |
//! | `repr`, `str` | `Debug` | | `Debug` of a [`Queue`]: counts of items and of waiting tasks, and never an item |
//! | | `is_closed` | | [`is_closed`](Queue::is_closed) |
//! | a `TaskGroup` of workers | | `concurrency` | [`WorkerPool`], [`resize`](WorkerPool::resize) |
//! | a `try` and a `put` around the work | | | `Err` from a pool's handler |
//! | | `reserve` | | not offered: a place that is held and not used keeps it from others; [`push`](Queue::push) is cancel safe |
//! | | | `interval`, `intervalCap` | not offered: a limit of rate is `outbound-limiter`'s |
//! | | | `pause`, `start` | not offered: a pool of no workers has none; not to spawn it is the same |
//! | | | `timeout` | not offered: a limit of time is `outbound-timeout`'s |
//! | | `blocking_send`, `blocking_recv` | | not offered: use the runtime's `block_on` |
//! | | `closed`, `WeakSender` | | not offered: a queue is closed by [`close`](Queue::close), not by dropping handles |
//!
//! Unlike asyncio's, a plain [`pop`](Queue::pop) counts as done, equals in a priority queue come out in the order in
//! which they came, and the forms that do not wait never overtake those who do.
//!
//! # Jobs of any kind
//!
//! The items may be the work itself. A boxed function is called again if it failed:
//!
//! ```
//! use std::{error::Error, pin::Pin, time::Duration};
//! use outbound_queue::{Lease, Queue, WorkerPool};
//!
//! type Done = Result<(), Box<dyn Error + Send + Sync>>;
//! type Job = Box<dyn FnMut() -> Pin<Box<dyn Future<Output = Done> + Send>> + Send>;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let queue: Queue<Job> = Queue::bounded(64);
//! let pool = WorkerPool::spawn(queue.clone(), 4, async |job: &mut Lease<Job>| job().await);
//! for name in ["report", "index"] {
//!     let job: Job = Box::new(move || Box::pin(async move { Ok(println!("{name}")) }));
//!     queue.push(job).await.expect("nobody has closed it");
//! }
//! assert_eq!(pool.shutdown(Duration::from_secs(30)).await.done, 2);
//! # }
//! ```
//!
//! # Cancel safety
//!
//! Dropping a future is safe at any moment, and each says what it means. An item leaves the queue only when
//! [`pop`](Queue::pop) or [`lease`](Queue::lease) returns it; a [`push`](Queue::push) dropped before it returned is
//! never delivered; a task that was woken and goes away passes its turn on. A future that was polled once has to be
//! polled on when it is woken, or dropped: one that is kept and never polled can keep one item or place from the
//! others.
//!
//! # What it costs
//!
//! One short lock for an operation. No allocation, waiting or not, beyond what the items lie in; that grows with them,
//! and is given back after a burst, and items that are not due lie in a tree. The futures of a push and of a pop have at
//! most 64 bytes, and the item; in a queue by key, room for a key as well. All of them take part in tokio's cooperative
//! budget. Nothing is spawned except by [`WorkerPool`].
//!
//! Not offered: durability (items live in memory), a queue without any room (rendezvous).
#![forbid(unsafe_code)]
// Models leave out the pool, and with it the only use of some of the rest.
#![cfg_attr(outbound_loom, allow(dead_code))]

mod coop;
mod error;
mod flavours;
mod join;
mod lease;
mod many;
#[cfg(not(outbound_loom))]
mod pool;
mod pop;
mod push;
mod queue;
mod rank;
mod state;
mod store;
#[cfg(all(test, outbound_loom))]
mod tests;

pub use crate::{
    error::{PushError, TryPopError, TryPushError},
    join::Join,
    lease::Lease,
    many::{Items, PopMany, PushMany},
    pop::{NextLease, Pop},
    push::{Push, PushAt},
    queue::Queue,
};

#[cfg(not(outbound_loom))]
pub use crate::pool::{Failure, Handler, Report, WorkerPool, WorkerPoolBuilder};
