//! Async queues that lose nothing: FIFO, LIFO and priority, leases, joins, shutdowns and worker pools.
//!
//! Items get lost between tasks: a cancelled receive drops one, a panic drops the one that is worked on, a shutdown drops
//! the rest. This queue gives out each item once or hands it back: to a push that was refused, from a lease that was not
//! finished, or in the report of a worker pool that was shut down.
//!
//! ```
//! use std::time::Duration;
//! use outbound_queue::{Lease, Queue, WorkerPool};
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() {
//!     let queue = Queue::bounded(64);
//!     // `Ok` means done. After an error or a panic the job is delivered again, here after ten milliseconds.
//!     let pool = WorkerPool::spawn(queue.clone(), 4, async |job: &mut Lease<u32>| {
//!         if **job == 7 && job.deliveries() == 1 {
//!             job.delay_next_delivery(Duration::from_millis(10));
//!             return Err("the seventh fails at first".into());
//!         }
//!         Ok(())
//!     });
//!     for job in 0..100 {
//!         queue.push(job).await.expect("the queue is open");        // waits while 64 jobs are not done
//!     }
//!     queue.join().await;                                           // all are done, the seventh at its second delivery
//!     let report = pool.shutdown(Duration::from_secs(30)).await;    // it would hold the jobs that are not done
//!     assert_eq!((report.done, report.errors), (100, 1));
//!     assert_eq!(report.failures[0].to_string(), "item 7, delivery 1 failed: the seventh fails at first");
//! }
//! ```
//!
//! Beside this crate the example needs:
//!
//! ```sh
//! cargo add tokio --features macros,rt
//! ```
//!
//! # What is in it
//!
//! | to | use |
//! |---|---|
//! | hand an item over | [`push`](Queue::push), [`pop`](Queue::pop), [`try_push`](Queue::try_push), [`try_pop`](Queue::try_pop) |
//! | move many at once, or take them as a stream | [`push_many`](Queue::push_many), [`pop_many`](Queue::pop_many), [`items`](Queue::items) |
//! | push an item that cannot be taken before a later time | [`push_after`](Queue::push_after), [`push_at`](Queue::push_at) |
//! | keep an item safe until its work is done | [`lease`](Queue::lease), [`try_lease`](Queue::try_lease), [`Lease::done`], [`Lease::into_inner`] |
//! | try an item that failed again later | [`Lease::delay_next_delivery`] |
//! | wait until all items are done | [`join`](Queue::join) |
//! | accept no more items, and finish the ones there are | [`close`](Queue::close) |
//! | accept no more items, and take out the ones there are | [`close_now`](Queue::close_now) |
//! | take out all items of an open queue | [`take_all`](Queue::take_all) |
//! | give out the newest first, or the most urgent | [`Queue::lifo`], [`Queue::priority`], [`Queue::by_key`] |
//! | give out the urgent first, and let no item wait for ever | [`Queue::aging`] |
//! | see how many items there are | [`len`](Queue::len), [`is_full`](Queue::is_full), [`leased`](Queue::leased), [`delayed`](Queue::delayed), [`unfinished`](Queue::unfinished), or all counts at once by `Debug` |
//! | see how many tasks wait | [`waiting_to_push`](Queue::waiting_to_push), [`waiting_to_pop`](Queue::waiting_to_pop), [`waiting_to_join`](Queue::waiting_to_join) |
//! | work on all items, several at a time | [`WorkerPool`] with a [`Handler`]; [`resize`](WorkerPool::resize) |
//! | share a client or another queue among the workers | [`spawn_with`](WorkerPool::spawn_with) |
//! | get the results as a stream, or push them into the next pool's queue | [`results`](WorkerPoolBuilder::results) |
//! | retry jobs that failed, and get back those that always fail | [`redelivery_wait`](WorkerPoolBuilder::redelivery_wait), [`max_deliveries`](WorkerPoolBuilder::max_deliveries), [`take_exhausted`](WorkerPool::take_exhausted) |
//! | end a pool, and learn what happened to every item | [`shutdown`](WorkerPool::shutdown), which gives a [`Report`] with each [`Failure`] |
//!
//! # Guarantees
//!
//! - **Cancel safety.** Dropping a future is safe at any moment. An item leaves the queue only when [`pop`](Queue::pop) or
//!   [`lease`](Queue::lease) returns it. A [`push`](Queue::push) that is dropped before it returned is never delivered. A
//!   task that was woken and is then dropped passes its wake-up on. A future that was polled once has to be polled again
//!   when it is woken, or dropped. One that is kept and not polled can keep one item or one slot from the others.
//! - **Fairness.** Waiting tasks are served in the order in which they came. Items of equal rank come out in the order in
//!   which they were pushed. A newcomer may overtake tasks that were woken and have not run yet, at most 32 times in a
//!   row: see [`Queue`](Queue#fairness). The `try_` forms overtake nobody.
//! - **Time.** Only delayed items and aging read the clock. It is tokio's, so the paused clock works. Waiting for a
//!   delayed item needs a runtime with time enabled. All futures take part in tokio's cooperative budget.
//! - **Panics.** A panic in the work on a lease puts the item back. In a [`WorkerPool`] a panic costs one delivery, and
//!   the worker goes on. A panic in a `rank` or `key` function loses only the item that it was called for.
//! - **Spawning.** Only [`WorkerPool`] spawns tasks. They end when it is dropped or shut down.
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
//!     queue.push(job).await.expect("the queue is open");
//! }
//! assert_eq!(pool.shutdown(Duration::from_secs(30)).await.done, 2);
//! # }
//! ```
//!
//! # What it does not do
//!
//! - Items live in memory only: a process that ends loses them.
//! - There is no queue without any capacity (a rendezvous channel).
//! - Dropping all handles of one side does not close a queue: call [`close`](Queue::close).
//!
//! # Coming from asyncio, tokio, p-queue
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
//! | `get` ... `task_done` | | | [`lease`](Queue::lease) ... [`done`](Lease::done), which consumes the lease, so it cannot be called twice |
//! | `join` | | `onIdle` | [`join`](Queue::join) |
//! | `shutdown()` | `close` | | [`close`](Queue::close) |
//! | `shutdown(immediate=True)` | | `clear` | [`close_now`](Queue::close_now) |
//! | `PriorityQueue`, `LifoQueue` | | `priority` | [`priority`](Queue::priority) or [`by_key`](Queue::by_key), [`lifo`](Queue::lifo) |
//! | `qsize`, `maxsize` | `len`, `max_capacity` | `size`, `pending` | [`len`](Queue::len), [`capacity`](Queue::capacity), [`leased`](Queue::leased) |
//! | `empty`, `full` | `is_empty`, `capacity() == 0` | | [`is_empty`](Queue::is_empty), [`is_full`](Queue::is_full) |
//! | `repr`, `str` | `Debug` | | `Debug` of a [`Queue`]: counts of items and of waiting tasks, and no item |
//! | | `is_closed` | | [`is_closed`](Queue::is_closed) |
//! | a `TaskGroup` of workers | | `concurrency` | [`WorkerPool`], [`resize`](WorkerPool::resize) |
//! | a `try` and a `put` around the work | | | `Err` from a pool's handler |
//! | | `reserve` | | not offered: a slot that is held and not used is lost for others; [`push`](Queue::push) is cancel safe |
//! | | | `interval`, `intervalCap` | not offered: see `outbound-limiter` for rates |
//! | | | `pause`, `start` | not offered: spawn the pool later |
//! | | | `timeout` | not offered: see `outbound-timeout` |
//! | | `blocking_send`, `blocking_recv` | | not offered: use the runtime's `block_on` |
//! | | `closed`, `WeakSender` | | not offered: a queue is closed by [`close`](Queue::close), not by dropping handles |
//!
//!
//! Three things differ from asyncio. An item counts as done when [`pop`](Queue::pop) returns it. Equals in a priority
//! queue come out in the order in which they were pushed. The forms that do not wait never overtake those that do.
//!
//! # Coming from async-channel, kanal, flume
//!
//! | there | here |
//! |---|---|
//! | `bounded(n)`, `unbounded()`: a sender and a receiver | [`bounded`](Queue::bounded), [`unbounded`](Queue::unbounded): one handle for both sides |
//! | `send`, `recv` | [`push`](Queue::push), [`pop`](Queue::pop) |
//! | a `recv` that is dropped may lose an item (kanal) | [`pop`](Queue::pop) loses none |
//! | the channel closes with its last sender | [`close`](Queue::close) |
//! | `Receiver` as a `Stream` | [`items`](Queue::items) |
//!
//! # Cost
//!
//! An operation takes one short lock. Waiting allocates nothing. The memory of the items grows with their number, and is
//! given back after a burst. The futures of a push and of a pop are at most 64 bytes, plus the item; a queue by key needs
//! room for a key too. There are no features. `benches/RESULTS.md` in the repository has the measured costs, beside those
//! of other queues.
#![forbid(unsafe_code)]
// The loom models leave out the pool, which is the only user of some other code.
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
