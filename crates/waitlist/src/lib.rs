//! A FIFO of waiting tasks: the intrusive list under `outbound-limiter` and `outbound-queue`.
//!
//! A lock, a semaphore or a queue must keep its waiting tasks in order, must give what it has to exactly one of them,
//! and must lose nothing when a waiting task is dropped. `WaitList` does this part once, without an allocation for a
//! waiter, and it holds the only `unsafe` code of the workspace.
//!
//! This is a whole fair semaphore. `release` gives the permit to the first waiter while it holds the lock, and wakes
//! the waiter afterwards. A waiter that is dropped between the two gives its permit to the next one.
//!
//! ```
//! use std::{future::Future, pin::{Pin, pin}, task::{Context, Poll, Waker}};
//! use outbound_waitlist::{Left, WaitList, Waiter};
//!
//! struct Semaphore(WaitList<usize, ()>);
//!
//! impl Semaphore {
//!     fn release(&self) {
//!         let mut list = self.0.lock();
//!         let waker = list.pop_front();           // the first waiter gets the permit, if a task waits
//!         if waker.is_none() { *list += 1; }
//!         drop(list);
//!         if let Some(waker) = waker { waker.wake(); }
//!     }
//!
//!     fn poll_acquire(&self, waiter: Pin<&mut Waiter<usize, ()>>, cx: &mut Context<'_>) -> Poll<()> {
//!         let mut list = self.0.lock();
//!         if !waiter.is_idle() { return list.poll_woken(waiter, cx); }
//!         if *list > 0 && list.is_empty() { *list -= 1; return Poll::Ready(()); }
//!         list.enqueue(waiter, (), cx);
//!         Poll::Pending
//!     }
//!
//!     fn give_up(&self, waiter: Pin<&mut Waiter<usize, ()>>) {   // a future calls this in its `Drop`
//!         let left = self.0.lock().leave(waiter);
//!         if let Some(Left::Woken(())) = left { self.release(); }
//!     }
//! }
//!
//! let semaphore = Semaphore(WaitList::new(1));
//! let cx = &mut Context::from_waker(Waker::noop());
//! let (mut first, mut second, mut third) = (pin!(Waiter::new()), pin!(Waiter::new()), pin!(Waiter::new()));
//! assert!(semaphore.poll_acquire(first.as_mut(), cx).is_ready());
//! assert!(semaphore.poll_acquire(second.as_mut(), cx).is_pending());
//! assert!(semaphore.poll_acquire(third.as_mut(), cx).is_pending());
//! semaphore.release();                                           // the permit goes to the second waiter ...
//! semaphore.give_up(second);                                     // ... which is dropped before it was polled
//! assert!(semaphore.poll_acquire(third, cx).is_ready());
//! ```
//!
//! # What is in it
//!
//! | type | is |
//! |---|---|
//! | [`WaitList`] | a short lock around a state of the caller's (permits, items, a bucket) and the tasks that wait for it |
//! | [`Waiter`] | a task's entry in the list. It lives inside the future that waits |
//! | [`Locked`], [`Held`] | the lock while it is held: for all operations, or for a quick look at the state |
//! | [`Line`] | one line of waiters. A list can have several lines under one lock: see [`WaitList::with_lines`] |
//! | [`Scan`], [`Left`] | what to do with a waiter in a scan; how a waiter left |
//! | [`Wakers`] | wakers that are collected under the lock and woken after it |
//!
//! The caller decides everything under the lock: who waits, who is let go, and what a waiter that gives up must hand
//! on. A semaphore needs one line. A queue has three: tasks that push, tasks that pop, and tasks that wait until all
//! items are done.
//!
//! # Guarantees
//!
//! - **Fairness.** Waiters stand in the order in which they came, unless [`Line::enqueue_after`] puts one further ahead.
//! - **Cancel safety.** Dropping a [`Waiter`] at any moment takes it out of its list. [`Locked::leave`] says whether it
//!   had been let go already, so that nothing that it was granted is lost.
//! - **Time.** The list reads no clock. It needs no runtime and works with any waker.
//! - **Panics.** A panic of the code that holds the lock releases the lock. A waiter that is used with the wrong list,
//!   or put into a list twice, panics before anything is changed.
//! - **No wake under the lock.** Every waker is handed to the caller: see [`Wakers`].
//!
//! The caller has to keep three rules:
//!
//! - Wake the wakers after the lock is released.
//! - Call [`Locked::leave`] in the `Drop` of a future whose [`Waiter`] can have been granted something. Without the call
//!   nothing is unsound, but the grant is lost.
//! - Run no foreign code while a [`Locked`] is held: no callback, no drop of a user's value, no await.
//!
//! # What it does not do
//!
//! It is no mutex, semaphore or channel for application code: those are in `outbound-limiter` and `outbound-queue`. Its
//! lock spins and never parks a thread, so it is only for work of some nanoseconds.
//!
//! # Coming from tokio
//!
//! | tokio | here |
//! |---|---|
//! | `Notify`: the list inside it | [`WaitList`], where the state is under the same lock |
//! | `Notify::notified` | [`Locked::enqueue`], then [`Locked::poll_woken`] |
//! | `Notify::notify_one` | [`Locked::pop_front`] |
//! | `Notify::notify_waiters` | [`Locked::scan`] with [`Scan::Wake`] |
//!
//! # Cost
//!
//! Waiting allocates nothing. To leave costs two pointer writes, wherever in the line the waiter stands. There are no
//! features. `benches/RESULTS.md` in the repository has the measured costs of the limiter and the queue, which stand on
//! this crate.

mod line;
mod list;
#[cfg(not(outbound_loom))]
mod lock;
#[cfg_attr(all(outbound_loom, not(test)), allow(dead_code))]
mod node;
mod sync;
mod waiter;
mod wakers;

pub use crate::{
    line::Line,
    list::{Held, Left, Locked, Scan, WaitList},
    waiter::Waiter,
    wakers::Wakers,
};

#[cfg(test)]
mod tests;
