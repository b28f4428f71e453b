//! The concurrency limiter: at most so many at once, first come, first served.

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
/// - **Strictly first in, first out.** While requests wait, free permits go to the first of them.
///   [`try_acquire`](Self::try_acquire) does not overtake either. So small requests do not starve a large one, and the
///   small ones behind it wait no longer than it does.
/// - **A request larger than the limit runs alone.** It is admitted when nothing is in use. While it runs, more is in use
///   than the limit. To refuse such a request instead, compare with [`limit`](Self::limit) first.
/// - **A limit of 0 is a pause.** Nothing is admitted until [`resize`](Self::resize) raises it.
/// - While nothing waits, taking a permit and giving it back are one atomic operation each, without a lock.
///
/// The futures spend tokio's cooperative budget: one unit each time they had to wait, and one unit for 16 times that they
/// were ready at once. So a loop that never has to wait yields after 2,048 rounds. The `try_` forms spend none, so they
/// fail only where no permit is free.
#[derive(Clone)]
pub struct ConcurrencyLimiter {
    shared: Arc<Shared>,
}

struct Shared {
    word: Word,
    queue: PermitQueue,
}

/// The requests that wait for permits. The state under its lock is the limit. The value of a waiter is the number of
/// permits it wants. It is let go when it has been given them.
type PermitQueue = WaitList<usize, usize>;
type PermitWaiter = Waiter<usize, usize>;

impl ConcurrencyLimiter {
    /// The largest limit: about 10^18, or 2.7 * 10^8 on a machine of 32 bits. Larger numbers count as this one in all
    /// methods.
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
    /// Dropping the future takes it out of the queue. A permit that it was given and did not take goes to the next waiter.
    #[inline]
    pub fn acquire(&self) -> Acquire<'_> {
        self.acquire_many(1)
    }

    /// Waits for `count` permits, all at once. Otherwise as [`acquire`](Self::acquire).
    #[inline]
    pub fn acquire_many(&self, count: usize) -> Acquire<'_> {
        Acquire::new(&self.shared, count)
    }

    /// As [`acquire`](Self::acquire), for a permit that borrows nothing and can be moved into a task.
    pub fn acquire_owned(&self) -> AcquireOwned {
        self.acquire_many_owned(1)
    }

    /// As [`acquire_many`](Self::acquire_many), for a permit that borrows nothing.
    pub fn acquire_many_owned(&self, count: usize) -> AcquireOwned {
        AcquireOwned::new(self.clone(), count)
    }

    /// Takes one permit, if one is free and no request waits.
    #[inline]
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.try_acquire_many(1)
    }

    /// Takes `count` permits, if they are free and no request waits. Otherwise as [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_many(&self, count: usize) -> Option<Permit<'_>> {
        self.shared.try_take(count).then(|| Permit::new(&self.shared, count.min(MAX_PERMITS)))
    }

    /// As [`try_acquire`](Self::try_acquire), for a permit that borrows nothing.
    pub fn try_acquire_owned(&self) -> Option<OwnedPermit> {
        self.shared.try_take(1).then(|| OwnedPermit::new(self.clone(), 1))
    }

    /// Waits for a permit, then calls `work` and runs the future that it makes. The permit is given back when that future
    /// ends, panics or is dropped.
    ///
    /// It takes a closure and not a future, so that the work cannot have begun before. A future can stand for work that
    /// runs already, such as a spawned task, or a request that was written when the future was made. Such work would not
    /// be limited.
    ///
    /// ```
    /// # use outbound_limiter::ConcurrencyLimiter;
    /// # async fn fetch(page: u32) -> u32 { page }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let limiter = ConcurrencyLimiter::new(10);
    /// let page = limiter.run(|| fetch(7)).await;
    /// // The task is spawned once there is a permit. The permit is held until the task ends.
    /// let other = limiter.run(|| tokio::spawn(fetch(8))).await;
    /// # assert_eq!((page, other.unwrap()), (7, 8));
    /// # }
    /// ```
    ///
    /// ```compile_fail,E0277
    /// # use outbound_limiter::ConcurrencyLimiter;
    /// # async fn fetch(page: u32) -> u32 { page }
    /// # let limiter = ConcurrencyLimiter::new(10);
    /// // This does not compile: the task would run before there is a permit.
    /// let page = limiter.run(tokio::spawn(fetch(7)));
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping it before `work` was called takes it out of the queue. Dropping it later drops the future, and then gives
    /// the permit back. If `work` has spawned a task, dropping its handle lets the task run on, without a permit.
    pub fn run<F, Fut>(&self, work: F) -> Run<'_, F, Fut>
    where
        F: FnOnce() -> Fut,
        Fut: Future,
    {
        Run::new(self, work)
    }

    /// Changes the limit.
    ///
    /// A larger limit admits at once as many waiting requests as now fit. A smaller limit takes no permit away, even if
    /// more are in use than the new limit. Then nothing is admitted until enough permits have come back.
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

    /// How many permits are in use, including those that were given to a waiter that has not been polled since.
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

    /// Gives permits back while requests wait. Mostly the first waiter wants exactly as many. It then gets them without a
    /// write to the atomic word, which other processors would have to fetch again.
    #[cold]
    fn hand_over(&self, count: usize) {
        let mut queue = self.queue.lock();
        let permits = self.word.permits();
        if permits == 0
            && queue.front().is_some_and(|(_, wants)| *wants == count)
            && let Some(waker) = queue.pop_front()
        {
            // The next request may want no permit.
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

    /// For a request that is not in the queue: takes permits if no request is ahead, otherwise joins the queue. For a
    /// request in the queue: ready once it has its permits.
    fn poll_queue(&self, waiter: Pin<&mut PermitWaiter>, count: usize, cx: &mut Context<'_>) -> Poll<()> {
        if !waiter.is_idle() {
            return self.queue.lock().poll_woken(waiter, cx).map(|_| ());
        }
        let mut queue = self.queue.lock();
        if queue.is_empty() {
            // The flag is set first. A permit that was given back before is seen here, and one that is given back later is
            // handed to the queue.
            self.word.set_waiters();
            if self.word.take_locked(count, *queue) {
                self.word.clear_waiters();
                return Poll::Ready(());
            }
        }
        queue.enqueue(waiter, count, cx);
        Poll::Pending
    }

    /// A waiter leaves. If it was first, the next waiter may fit now. If it had its permits, they go to the next.
    fn leave(&self, waiter: Pin<&mut PermitWaiter>) {
        let left = self.queue.lock().leave(waiter);
        if let Some(Left::Woken(count)) = left {
            self.word.give(count);
        }
        self.serve();
    }

    /// Gives permits to the waiters from the first on, as long as there are enough.
    #[cold]
    fn serve(&self) {
        loop {
            let mut queue = self.queue.lock();
            // Mostly one permit came back, so that one waiter is admitted and the next has to wait. A batch of two is enough
            // to see that.
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

    /// Gives the first waiter its permits, if there are enough.
    fn let_in(&self, queue: &mut Locked<'_, usize, usize>) -> Option<Waker> {
        let (limit, count) = queue.front()?;
        if self.word.take_locked(*count, *limit) { queue.pop_front() } else { None }
    }
}

impl Idle for ConcurrencyLimiter {
    fn is_idle(&self) -> bool {
        // An owned permit holds a handle, and a borrowed permit borrows one.
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
