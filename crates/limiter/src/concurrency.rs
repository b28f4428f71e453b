//! At most so many at once, first come first served.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use outbound_waitlist::{Left, Locked, Scan, WaitList, Waiter, Wakers};

use crate::{closed::Closed, keyed::sealed::Idle, sync::Arc};

mod acquire;
mod permit;
mod run;
mod word;

pub use self::{
    acquire::{Acquire, AcquireOwned},
    permit::{OwnedPermit, Permit, TryAcquireError},
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
    line: Line,
}

/// Those who wait for permits. The state under its lock is the limit.
type Line = WaitList<usize, Request>;
type Place = Waiter<usize, Request>;

/// What a waiter brings: how many permits it wants, and whether it has been given them.
#[derive(Debug, Clone, Copy)]
struct Request {
    count: usize,
    granted: bool,
}

impl ConcurrencyLimiter {
    /// The largest limit. Larger numbers, here and in the methods, count as this one: about 10^18, or 2.7 * 10^8 on a
    /// machine of 32 bits.
    pub const MAX_PERMITS: usize = MAX_PERMITS;

    /// A limiter with this many permits, all of them free.
    pub fn new(permits: usize) -> Self {
        let permits = permits.min(MAX_PERMITS);
        Self { shared: Arc::new(Shared { word: Word::new(permits), line: WaitList::new(permits) }) }
    }

    /// Waits for one permit. Dropping the permit gives it back.
    ///
    /// # Errors
    ///
    /// [`Closed`] once [`close`](Self::close) has been called.
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
    ///
    /// # Errors
    ///
    /// [`TryAcquireError::NoPermits`] or [`TryAcquireError::Closed`].
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes `count` permits if they are free and nobody waits. Otherwise as [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_many(&self, count: usize) -> Result<Permit<'_>, TryAcquireError> {
        self.shared.try_take(count)?;
        Ok(Permit::new(&self.shared, count.min(MAX_PERMITS)))
    }

    /// [`try_acquire`](Self::try_acquire) for a permit that borrows nothing.
    pub fn try_acquire_owned(&self) -> Result<OwnedPermit, TryAcquireError> {
        self.shared.try_take(1)?;
        Ok(OwnedPermit::new(self.clone(), 1))
    }

    /// Runs a future while holding one permit, which is given back when the future ends, is dropped or panics.
    ///
    /// # Errors
    ///
    /// [`Closed`] if the limiter is closed before the future could start; the future is then dropped unpolled.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future, then gives the permit or the place in line back.
    pub fn run<F: Future>(&self, future: F) -> Run<'_, F> {
        Run::new(self, future)
    }

    /// Changes the limit.
    ///
    /// A larger limit lets in at once as many of those who wait as now fit. A smaller one takes nothing from those who
    /// hold permits, even if they hold more than the new limit: nobody is let in until enough have come back.
    pub fn resize(&self, permits: usize) {
        let permits = permits.min(MAX_PERMITS);
        let mut limit = self.shared.line.lock();
        self.shared.word.resize(*limit, permits);
        *limit = permits;
        drop(limit);
        self.shared.serve();
    }

    /// Lets nobody in any more and ends all waiting with [`Closed`]. Permits in use stay good.
    pub fn close(&self) {
        loop {
            let mut wakers = Wakers::new();
            let mut line = self.shared.line.lock();
            self.shared.word.close();
            if line.scan(&mut wakers, |_, _| Scan::Wake) {
                return self.shared.word.clear_waiters();
            }
        }
    }

    /// Whether [`close`](Self::close) has been called.
    pub fn is_closed(&self) -> bool {
        self.shared.word.is_closed()
    }

    /// The limit.
    pub fn limit(&self) -> usize {
        *self.shared.line.lock()
    }

    /// How many permits are free now. 0 while more is in use than the limit.
    pub fn available(&self) -> usize {
        usize::try_from(self.shared.word.permits()).unwrap_or(0)
    }

    /// How many permits are in use, those included that were just given to a waiter which has yet to notice.
    pub fn in_use(&self) -> usize {
        let limit = self.shared.line.lock();
        let in_use = limit.cast_signed() - self.shared.word.permits();
        usize::try_from(in_use).unwrap_or(0)
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.shared.line.lock().len()
    }
}

impl Shared {
    #[inline]
    fn release(&self, count: usize) {
        if self.word.give(count) {
            self.serve();
        }
    }

    #[inline]
    fn try_take(&self, count: usize) -> Result<(), TryAcquireError> {
        let count = count.min(MAX_PERMITS);
        if self.word.take_unlocked(count) { Ok(()) } else { self.try_take_locked(count) }
    }

    #[cold]
    fn try_take_locked(&self, count: usize) -> Result<(), TryAcquireError> {
        let line = self.line.lock();
        if self.word.is_closed() {
            Err(TryAcquireError::Closed)
        } else if line.is_empty() && self.word.take_locked(count, *line) {
            Ok(())
        } else {
            Err(TryAcquireError::NoPermits)
        }
    }

    /// Takes permits if nobody is ahead, else joins the line; and, once it is in line, asks for what came of it.
    fn poll_line(
        &self,
        place: Pin<&mut Place>,
        count: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Closed>> {
        if !place.is_idle() {
            let request = self.line.lock().poll_woken(place, cx);
            return request.map(|request| if request.granted { Ok(()) } else { Err(Closed) });
        }
        let mut line = self.line.lock();
        if self.word.is_closed() {
            return Poll::Ready(Err(Closed));
        }
        if line.is_empty() {
            // The flag first: a permit given back before it was set is seen here, one given back later is served.
            self.word.set_waiters();
            if self.word.take_locked(count, *line) {
                self.word.clear_waiters();
                return Poll::Ready(Ok(()));
            }
        }
        line.enqueue(place, Request { count, granted: false }, cx);
        Poll::Pending
    }

    /// A waiter goes away. Its place may have been what held up the next, its permits are what the next waits for.
    fn leave(&self, place: Pin<&mut Place>) {
        let left = self.line.lock().leave(place);
        if let Some(Left::Woken(Request { count, granted: true })) = left {
            self.word.give(count);
        }
        self.serve();
    }

    /// Hands out permits from the head of the line on, for as long as they last.
    #[cold]
    fn serve(&self) {
        loop {
            let mut line = self.line.lock();
            // Mostly one permit came back and lets one in, and the next has to wait: a batch of two is enough to see.
            let first = self.let_in(&mut line);
            let second = if first.is_some() { self.let_in(&mut line) } else { None };
            if line.is_empty() {
                self.word.clear_waiters();
            }
            drop(line);
            let done = second.is_none();
            first.into_iter().chain(second).for_each(Waker::wake);
            if done {
                return;
            }
        }
    }

    /// Gives the head of the line its permits, if there are enough.
    fn let_in(&self, line: &mut Locked<'_, usize, Request>) -> Option<Waker> {
        let (limit, request) = line.front()?;
        request.granted = self.word.take_locked(request.count, *limit);
        if request.granted { line.pop_front() } else { None }
    }
}

impl Idle for ConcurrencyLimiter {
    fn is_idle(&self) -> bool {
        // Whoever holds an owned permit holds a handle; whoever holds a borrowed one borrows a handle.
        Arc::strong_count(&self.shared) == 1 && !self.is_closed() && self.in_use() == 0
    }
}

impl fmt::Debug for ConcurrencyLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line.lock();
        f.debug_struct("ConcurrencyLimiter")
            .field("limit", &*line)
            .field("available", &self.word.permits())
            .field("waiting", &line.len())
            .field("closed", &self.word.is_closed())
            .finish()
    }
}

#[cfg(test)]
mod tests;
