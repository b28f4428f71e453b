//! The lock, the state behind it, and what may be done with the line while it is held.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    pin::Pin,
    ptr::NonNull,
    task::{Context, Poll, Waker},
};

use crate::{
    line::Line,
    node::Queue,
    sync::{Arc, Mutex, MutexGuard},
    waiter::Waiter,
    wakers::Wakers,
};

/// A state `S` under a short lock, and the tasks that wait for it, first come first. Each brings a value `N`.
///
/// There is one line of waiters, unless `LINES` says otherwise: see [`with_lines`](Self::with_lines).
/// Cloning gives another handle to the same list. Waiters in line keep it alive.
pub struct WaitList<S, N, const LINES: usize = 1> {
    shared: Arc<Shared<S, N, LINES>>,
}

pub(crate) struct Shared<S, N, const LINES: usize> {
    inner: Mutex<Inner<S, N, LINES>>,
}

pub(crate) struct Inner<S, N, const LINES: usize> {
    pub(crate) state: S,
    pub(crate) lines: [Queue<N>; LINES],
}

/// The lock, held. It derefs to the state. What it does to "the line" it does to the first, where there are several.
pub struct Locked<'a, S, N, const LINES: usize = 1> {
    shared: &'a Arc<Shared<S, N, LINES>>,
    guard: MutexGuard<'a, Inner<S, N, LINES>>,
    // A waker that was replaced. Dropping one may run other people's code, so it is dropped after the guard is.
    retired: Option<Waker>,
}

/// The lock, held for a look at the state, to which it derefs. Ended at once, it costs less than a [`Locked`].
pub struct Held<'a, S, N, const LINES: usize = 1> {
    shared: &'a Arc<Shared<S, N, LINES>>,
    guard: MutexGuard<'a, Inner<S, N, LINES>>,
}

/// How a waiter left before it took its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left<N> {
    /// It was still in line.
    Queued(N),
    /// It had been let go, and had not noticed: what the value stands for is the caller's to hand on.
    Woken(N),
}

/// What to do with a waiter that [`Locked::scan`] looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// Let it wait, and look at the next.
    Keep,
    /// Take it out of the line, wake it, and look at the next.
    Wake,
    /// Let it wait, and look no further.
    Stop,
}

impl<S, N> WaitList<S, N> {
    /// A list of one line, with nobody in it.
    pub fn new(state: S) -> Self {
        Self::with_lines(state)
    }
}

impl<S, N, const LINES: usize> WaitList<S, N, LINES> {
    /// A list of several lines under the one lock, with nobody in any: for a state that tasks wait for in more than
    /// one way, such as to put something in and to take something out.
    pub fn with_lines(state: S) -> Self {
        const { assert!(LINES > 0 && LINES <= 255, "a list has between 1 and 255 lines") };
        let lines = [const { Queue::new() }; LINES];
        Self { shared: Arc::new(Shared { inner: Mutex::new(Inner { state, lines }) }) }
    }

    /// Takes the lock for the state alone, which is all that most calls need: [`Held::locked`] goes on from there.
    #[inline]
    pub fn hold(&self) -> Held<'_, S, N, LINES> {
        let guard = self.shared.inner.lock();
        Held { shared: &self.shared, guard }
    }

    /// [`hold`](Self::hold), unless somebody else has the lock.
    #[inline]
    pub fn try_hold(&self) -> Option<Held<'_, S, N, LINES>> {
        let guard = self.shared.inner.try_lock()?;
        Some(Held { shared: &self.shared, guard })
    }

    /// Takes the lock. A panic of its holder releases it: the links are never left half-written.
    #[inline]
    pub fn lock(&self) -> Locked<'_, S, N, LINES> {
        self.hold().locked()
    }

    pub(crate) fn from_shared(shared: Arc<Shared<S, N, LINES>>) -> Self {
        Self { shared }
    }
}

impl<'a, S, N, const LINES: usize> Held<'a, S, N, LINES> {
    /// Whether nobody is in any of the lines.
    #[inline]
    pub fn nobody_waits(&self) -> bool {
        self.guard.nobody_waits()
    }

    /// The same hold, with what may be done to the lines.
    #[inline]
    pub fn locked(self) -> Locked<'a, S, N, LINES> {
        Locked { shared: self.shared, guard: self.guard, retired: None }
    }
}

impl<S, N, const LINES: usize> Locked<'_, S, N, LINES> {
    /// One of the lines, counted from 0.
    ///
    /// # Panics
    ///
    /// If there are not so many lines.
    #[inline]
    pub fn line(&mut self, index: usize) -> Line<'_, S, N, LINES> {
        assert!(index < LINES, "the list has {LINES} lines");
        Line { shared: self.shared, inner: &mut self.guard, index }
    }

    /// Whether nobody is in any of the lines.
    #[inline]
    pub fn nobody_waits(&self) -> bool {
        self.guard.nobody_waits()
    }

    /// Whether nobody is in the line.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many are in the line.
    #[inline]
    pub fn len(&self) -> usize {
        self.guard.lines[0].len()
    }

    /// The state and the value of the waiter at the head of the line, both to look at and to change.
    pub fn front(&mut self) -> Option<(&mut S, &mut N)> {
        self.line(0).into_front()
    }

    /// Puts a waiter at the end of the line.
    ///
    /// # Panics
    ///
    /// If the waiter is in a list already.
    pub fn enqueue(&mut self, waiter: Pin<&mut Waiter<S, N, LINES>>, value: N, cx: &mut Context<'_>) {
        self.line(0).enqueue(waiter, value, cx);
    }

    /// Asks for an enqueued waiter: ready with its value once it has been let go, and then idle again; pending while
    /// it is in line, with the waker renewed.
    ///
    /// # Panics
    ///
    /// If the waiter is idle or in another list.
    #[inline]
    pub fn poll_woken(&mut self, waiter: Pin<&mut Waiter<S, N, LINES>>, cx: &mut Context<'_>) -> Poll<N> {
        let (list, node) = waiter.project();
        self.assert_member(list.as_ref());
        // SAFETY: the waiter has joined this list, whose lock is held.
        let (value, retired) = unsafe {
            node.with(|slot| {
                if !slot.is_queued() {
                    return (slot.value.take(), slot.waker.take());
                }
                match &slot.waker {
                    Some(waker) if waker.will_wake(cx.waker()) => (None, None),
                    _ => (None, slot.waker.replace(cx.waker().clone())),
                }
            })
        };
        if retired.is_some() {
            self.retired = retired;
        }
        match value {
            Some(value) => {
                *list = None;
                Poll::Ready(value)
            }
            None => Poll::Pending,
        }
    }

    /// Whether a waiter is in line and has been nudged since it was last polled: it is about to look again.
    ///
    /// # Panics
    ///
    /// If the waiter is in another list.
    #[inline]
    pub fn is_nudged(&mut self, waiter: Pin<&mut Waiter<S, N, LINES>>) -> bool {
        let (list, node) = waiter.project();
        if list.is_none() {
            return false;
        }
        self.assert_member(list.as_ref());
        // SAFETY: the waiter has joined this list, whose lock is held.
        unsafe { node.with(|slot| slot.is_queued() && slot.waker.is_none()) }
    }

    /// Takes a waiter out, wherever it stands, and says how it left. `None` if it was idle.
    ///
    /// # Panics
    ///
    /// If the waiter is in another list.
    #[inline]
    pub fn leave(&mut self, waiter: Pin<&mut Waiter<S, N, LINES>>) -> Option<Left<N>> {
        let (list, node) = waiter.project();
        if list.is_none() {
            return None;
        }
        self.assert_member(list.as_ref());
        // SAFETY: the waiter has joined this list, whose lock is held; it is removed only while it is queued, from
        // the line that it was put in.
        let (value, queued) = unsafe {
            let (queued, line) = node.with(|slot| (slot.is_queued(), slot.line));
            if queued {
                self.guard.lines[line as usize].remove(NonNull::from(node));
            }
            node.with(|slot| {
                self.retired = slot.waker.take();
                (slot.value.take(), queued)
            })
        };
        *list = None;
        value.map(|value| if queued { Left::Queued(value) } else { Left::Woken(value) })
    }

    /// Takes the head of the line out and returns its waker; its value waits for it in [`poll_woken`](Self::poll_woken).
    ///
    /// `None` means that nobody is in line: a waiter whose waker [`nudge_front`](Self::nudge_front) took is let go
    /// with a waker that does nothing, since it has been woken.
    #[inline]
    pub fn pop_front(&mut self) -> Option<Waker> {
        self.line(0).pop_front()
    }

    /// The waker of the head of the line, which stays there: to make it look again at what it waits for.
    /// `None` if nobody is in line, or the head was nudged before and has not been polled since.
    pub fn nudge_front(&mut self) -> Option<Waker> {
        self.line(0).nudge_front()
    }

    /// Looks at the waiters from the head of the line on, letting go those for which `decide` says so.
    ///
    /// Returns whether it came to an end: `false` means that `wakers` was full, so the caller releases the lock, wakes
    /// and calls again.
    pub fn scan(&mut self, wakers: &mut Wakers, decide: impl FnMut(&mut S, &mut N) -> Scan) -> bool {
        self.line(0).scan(wakers, decide)
    }

    #[inline]
    fn assert_member(&self, list: Option<&Arc<Shared<S, N, LINES>>>) {
        let member = list.is_some_and(|list| Arc::ptr_eq(list, self.shared));
        assert!(member, "the waiter is idle or in another list");
    }
}

impl<S, N, const LINES: usize> Inner<S, N, LINES> {
    #[inline]
    fn nobody_waits(&self) -> bool {
        self.lines.iter().all(|line| line.len() == 0)
    }

    fn waiting(&self) -> usize {
        self.lines.iter().map(Queue::len).sum()
    }
}

impl<S, N, const LINES: usize> Deref for Held<'_, S, N, LINES> {
    type Target = S;

    #[inline]
    fn deref(&self) -> &S {
        &self.guard.state
    }
}

impl<S, N, const LINES: usize> DerefMut for Held<'_, S, N, LINES> {
    #[inline]
    fn deref_mut(&mut self) -> &mut S {
        &mut self.guard.state
    }
}

impl<S, N, const LINES: usize> Deref for Locked<'_, S, N, LINES> {
    type Target = S;

    #[inline]
    fn deref(&self) -> &S {
        &self.guard.state
    }
}

impl<S, N, const LINES: usize> DerefMut for Locked<'_, S, N, LINES> {
    #[inline]
    fn deref_mut(&mut self) -> &mut S {
        &mut self.guard.state
    }
}

impl<S, N, const LINES: usize> Clone for WaitList<S, N, LINES> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<S: fmt::Debug, N, const LINES: usize> fmt::Debug for WaitList<S, N, LINES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = self.lock();
        f.debug_struct("WaitList").field("state", &*list).field("waiting", &list.guard.waiting()).finish()
    }
}

impl<S: fmt::Debug, N, const LINES: usize> fmt::Debug for Locked<'_, S, N, LINES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locked")
            .field("state", &self.guard.state)
            .field("waiting", &self.guard.waiting())
            .finish()
    }
}

impl<S: fmt::Debug, N, const LINES: usize> fmt::Debug for Held<'_, S, N, LINES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("state", &self.guard.state).finish()
    }
}
