//! A FIFO of waiting tasks: the intrusive list under `outbound-limiter` and `outbound-queue`.
//!
//! A [`WaitList`] is a short lock around two things: a state of the caller's own (permits, a deque, a bucket) and the
//! tasks that wait for it, in the order in which they came. The place in line of a task is a [`Waiter`] inside its
//! future, so waiting allocates nothing and leaving the line costs two pointer writes wherever in the line it stands.
//!
//! One line is enough for a semaphore. A queue has three under its one lock, of those who put in, of those who take
//! out, and of those who wait for all to be done: [`WaitList::with_lines`], [`Locked::line`].
//!
//! Everything is decided under the lock, by the caller: who waits, who is let go, and what a waiter that gives up
//! must hand back. This crate only promises that the list is sound, and it is the only place in the workspace with
//! `unsafe` code.
//!
//! # Example
//!
//! The whole of a fair semaphore. A permit is *granted* under the lock, before its waiter is woken; a waiter that
//! was granted one and is dropped before it noticed gives it to the next in line.
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
//!         let waker = list.pop_front();           // the permit goes to the head of the line, if there is one
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
//!     fn give_up(&self, waiter: Pin<&mut Waiter<usize, ()>>) {   // what the future's `Drop` does
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
//! semaphore.release();                                           // granted to the second ...
//! semaphore.give_up(second);                                     // ... which goes away without looking
//! assert!(semaphore.poll_acquire(third, cx).is_ready());
//! ```
//!
//! # Rules for callers
//!
//! - Wakers come back to the caller and are to be woken *after* the lock is released: see [`Wakers`].
//! - A future that holds a [`Waiter`] calls [`Locked::leave`] in its `Drop` if it could have been granted something.
//!   Forgetting that is safe, and loses the grant.
//! - A `Locked` is held over no user code: no callback, no drop of a user's value, no await.

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
