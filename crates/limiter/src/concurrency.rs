//! At most so many at once, first come first served.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use outbound_waitlist::{Left, Locked, WaitList, Waiter};

use crate::{keyed::sealed::Idle, sync::Arc};

mod acquire;
mod permit;
mod run;
mod word;

pub use self::{
    acquire::{Acquire, AcquireOwned},
    permit::{OwnedPermit, Permit},
    run::Run,
};

use self::word::{MAX_PERMITS, Word};

/// A limit on how much happens at once: a fair, weighted, resizable semaphore.
///
/// Cloning gives another handle to the same limit.
///
/// - **Strictly first in, first out.** While somebody waits, permits go to the head of the line and to nobody else,
///   [`try_acquire`](Self::try_acquire) included. A request for many permits is therefore not starved by small ones,
///   and the small ones behind it wait no longer than it does.
/// - **A request larger than the limit runs alone**: it is let in when nothing is in use, and while it runs more is
///   in use than the limit. Compare with [`limit`](Self::limit) first to refuse such a request instead.
/// - **A limit of 0 is a pause**: nothing is let in until [`resize`](Self::resize) raises it.
/// - Taking and giving back a permit while nobody waits are one atomic operation each, and take no lock.
///
/// The futures spend tokio's cooperative budget: those that had to wait a unit each, and one in 16 of those that were
/// ready at once, so a loop that never has to wait yields after 2,048 turns. The `try_` forms spend none, so a
/// refusal from them always means what it says.
#[derive(Clone)]
pub struct ConcurrencyLimiter {
    shared: Arc<Shared>,
}

struct Shared {
    word: Word,
    queue: PermitQueue,
}

/// Those who wait for permits. The state under its lock is the limit. A waiter brings how many permits it wants; it is let
/// go when it has been given them.
type PermitQueue = WaitList<usize, usize>;
type PermitWaiter = Waiter<usize, usize>;

impl ConcurrencyLimiter {
    /// The largest limit. Larger numbers, here and in the methods, count as this one: about 10^18, or 2.7 * 10^8 on a
    /// machine of 32 bits.
    pub const MAX_PERMITS: usize = MAX_PERMITS;

    /// A limiter with this many permits, all of them free.
    pub fn new(permits: usize) -> Self {
        let permits = permits.min(MAX_PERMITS);
        Self { shared: Arc::new(Shared { word: Word::new(permits), queue: WaitList::new(permits) }) }
    }

    /// Waits for one permit. Dropping the permit gives it back.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in line, and a permit that it was given and did not take goes to the
    /// next.
    #[inline]
    pub fn acquire(&self) -> Acquire<'_> {
        self.acquire_many(1)
    }

    /// Waits for `count` permits, to be had all at once. Otherwise as [`acquire`](Self::acquire).
    #[inline]
    pub fn acquire_many(&self, count: usize) -> Acquire<'_> {
        Acquire::new(&self.shared, count)
    }

    /// [`acquire`](Self::acquire) for a permit that borrows nothing, so that it can move into a task.
    pub fn acquire_owned(&self) -> AcquireOwned {
        self.acquire_many_owned(1)
    }

    /// [`acquire_many`](Self::acquire_many) for a permit that borrows nothing.
    pub fn acquire_many_owned(&self, count: usize) -> AcquireOwned {
        AcquireOwned::new(self.clone(), count)
    }

    /// Takes one permit if it is free and nobody waits for it.
    #[inline]
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.try_acquire_many(1)
    }

    /// Takes `count` permits if they are free and nobody waits. Otherwise as [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_many(&self, count: usize) -> Option<Permit<'_>> {
        self.shared.try_take(count).then(|| Permit::new(&self.shared, count.min(MAX_PERMITS)))
    }

    /// [`try_acquire`](Self::try_acquire) for a permit that borrows nothing.
    pub fn try_acquire_owned(&self) -> Option<OwnedPermit> {
        self.shared.try_take(1).then(|| OwnedPermit::new(self.clone(), 1))
    }

    /// Waits for a permit, then calls `work` and runs the future that it makes. The permit is given back when that future
    /// ends, is dropped or panics.
    ///
    /// It takes a closure, and no future: what a limiter is handed is not yet begun. A future may stand for work that runs
    /// already, such as a task that was spawned or a request that was written by the call that made the future. That
    /// would be limited by nothing.
    ///
    /// ```
    /// # use outbound_limiter::ConcurrencyLimiter;
    /// # async fn fetch(page: u32) -> u32 { page }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let limiter = ConcurrencyLimiter::new(10);
    /// let page = limiter.run(|| fetch(7)).await;
    /// // A task is spawned when it has its permit, which is held until the task ends.
    /// let other = limiter.run(|| tokio::spawn(fetch(8))).await;
    /// # assert_eq!((page, other.unwrap()), (7, 8));
    /// # }
    /// ```
    ///
    /// ```compile_fail,E0277
    /// # use outbound_limiter::ConcurrencyLimiter;
    /// # async fn fetch(page: u32) -> u32 { page }
    /// # let limiter = ConcurrencyLimiter::new(10);
    /// // The task runs before it has a permit.
    /// let page = limiter.run(tokio::spawn(fetch(7)));
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping it before `work` was called gives up the place in line. After that it drops the future, then gives the
    /// permit back. A task that `work` has spawned then runs on without a permit, as it does whenever its handle is
    /// dropped.
    pub fn run<F, Fut>(&self, work: F) -> Run<'_, F, Fut>
    where
        F: FnOnce() -> Fut,
        Fut: Future,
    {
        Run::new(self, work)
    }

    /// Changes the limit.
    ///
    /// A larger limit lets in at once as many of those who wait as now fit. A smaller one takes nothing from those who
    /// hold permits, even if they hold more than the new limit: nobody is let in until enough have come back.
    pub fn resize(&self, permits: usize) {
        let permits = permits.min(MAX_PERMITS);
        let mut limit = self.shared.queue.lock();
        self.shared.word.resize(*limit, permits);
        *limit = permits;
        drop(limit);
        self.shared.serve();
    }

    /// The limit.
    pub fn limit(&self) -> usize {
        *self.shared.queue.lock()
    }

    /// How many permits are free now. 0 while more is in use than the limit.
    pub fn available(&self) -> usize {
        usize::try_from(self.shared.word.permits()).unwrap_or(0)
    }

    /// How many permits are in use, those included that were just given to a waiter which has yet to notice.
    pub fn in_use(&self) -> usize {
        let limit = self.shared.queue.lock();
        let in_use = limit.cast_signed() - self.shared.word.permits();
        usize::try_from(in_use).unwrap_or(0)
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.shared.queue.lock().len()
    }
}

impl Shared {
    #[inline]
    fn release(&self, count: usize) {
        if self.word.has_waiters() {
            self.hand_over(count);
        } else if self.word.give(count) {
            self.serve();
        }
    }

    /// Gives permits back while somebody waits. Most often the head of the line wants just as many: it has them without
    /// the word, which other processors have to fetch, being written.
    #[cold]
    fn hand_over(&self, count: usize) {
        let mut queue = self.queue.lock();
        let permits = self.word.permits();
        if permits == 0
            && queue.front().is_some_and(|(_, wants)| *wants == count)
            && let Some(waker) = queue.pop_front()
        {
            // One that wants none may be next.
            let more = queue.front().is_some_and(|(_, wants)| *wants == 0);
            if queue.is_empty() {
                self.word.clear_waiters();
            }
            drop(queue);
            waker.wake();
            if more {
                self.serve();
            }
            return;
        }
        drop(queue);
        self.word.give(count);
        self.serve();
    }

    #[inline]
    fn try_take(&self, count: usize) -> bool {
        let count = count.min(MAX_PERMITS);
        self.word.take_unlocked(count) || self.try_take_locked(count)
    }

    #[cold]
    fn try_take_locked(&self, count: usize) -> bool {
        let queue = self.queue.lock();
        queue.is_empty() && self.word.take_locked(count, *queue)
    }

    /// Takes permits if nobody is ahead, else joins the line; and, once it is in line, asks for what came of it.
    fn poll_queue(&self, waiter: Pin<&mut PermitWaiter>, count: usize, cx: &mut Context<'_>) -> Poll<()> {
        if !waiter.is_idle() {
            return self.queue.lock().poll_woken(waiter, cx).map(|_| ());
        }
        let mut queue = self.queue.lock();
        if queue.is_empty() {
            // The flag first: a permit given back before it was set is seen here, one given back later is served.
            self.word.set_waiters();
            if self.word.take_locked(count, *queue) {
                self.word.clear_waiters();
                return Poll::Ready(());
            }
        }
        queue.enqueue(waiter, count, cx);
        Poll::Pending
    }

    /// A waiter goes away. Its place may have been what held up the next, its permits are what the next waits for.
    fn leave(&self, waiter: Pin<&mut PermitWaiter>) {
        let left = self.queue.lock().leave(waiter);
        if let Some(Left::Woken(count)) = left {
            self.word.give(count);
        }
        self.serve();
    }

    /// Hands out permits from the head of the line on, for as long as they last.
    #[cold]
    fn serve(&self) {
        loop {
            let mut queue = self.queue.lock();
            // Mostly one permit came back and lets one in, and the next has to wait: a batch of two is enough to see.
            let first = self.let_in(&mut queue);
            let second = if first.is_some() { self.let_in(&mut queue) } else { None };
            if queue.is_empty() {
                self.word.clear_waiters();
            }
            drop(queue);
            let done = second.is_none();
            first.into_iter().chain(second).for_each(Waker::wake);
            if done {
                return;
            }
        }
    }

    /// Gives the head of the line its permits, if there are enough.
    fn let_in(&self, queue: &mut Locked<'_, usize, usize>) -> Option<Waker> {
        let (limit, count) = queue.front()?;
        if self.word.take_locked(*count, *limit) { queue.pop_front() } else { None }
    }
}

impl Idle for ConcurrencyLimiter {
    fn is_idle(&self) -> bool {
        // Whoever holds an owned permit holds a handle; whoever holds a borrowed one borrows a handle.
        Arc::strong_count(&self.shared) == 1 && self.in_use() == 0
    }
}

impl fmt::Debug for ConcurrencyLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = self.queue.lock();
        f.debug_struct("ConcurrencyLimiter")
            .field("limit", &*queue)
            .field("available", &self.word.permits())
            .field("waiting", &queue.len())
            .finish()
    }
}

#[cfg(test)]
mod tests;
