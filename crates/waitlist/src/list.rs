//! The list: a lock, the state behind it, and the operations on the waiters while the lock is held.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    pin::Pin,
    ptr::NonNull,
    task::{Context, Poll, Waker},
};

use crate::{
    line::Line,
    node::NodeList,
    sync::{Arc, Mutex, MutexGuard},
    waiter::Waiter,
    wakers::Wakers,
};

/// A state `S` under a short lock, and the tasks that wait for it, in the order in which they came. Each waiter has a
/// value `N`.
///
/// There is one line of waiters, or `LINES` of them: see [`with_lines`](Self::with_lines).
/// Cloning gives another handle to the same list. Waiters in a line keep the list alive.
pub struct WaitList<S, N, const LINES: usize = 1> {
    shared: Arc<Shared<S, N, LINES>>,
}

pub(crate) struct Shared<S, N, const LINES: usize> {
    inner: Mutex<Inner<S, N, LINES>>,
}

pub(crate) struct Inner<S, N, const LINES: usize> {
    pub(crate) state: S,
    pub(crate) lines: [NodeList<N>; LINES],
}

/// The lock while it is held. It derefs to the state. Where a list has several lines, the methods that speak of "the
/// line" work on line 0.
pub struct Locked<'a, S, N, const LINES: usize = 1> {
    shared: &'a Arc<Shared<S, N, LINES>>,
    guard: MutexGuard<'a, Inner<S, N, LINES>>,
    // A waker that was replaced. Dropping a waker may run foreign code, so it is dropped after the guard is.
    retired: Option<Waker>,
}

/// The lock while it is held for the state alone, to which it derefs. It costs less than a [`Locked`].
pub struct Held<'a, S, N, const LINES: usize = 1> {
    shared: &'a Arc<Shared<S, N, LINES>>,
    guard: MutexGuard<'a, Inner<S, N, LINES>>,
}

/// How a waiter left that had not taken its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left<N> {
    /// It was still in line.
    Queued(N),
    /// It had been let go, and was not polled since. If the value stands for something granted, the caller hands that
    /// on.
    Woken(N),
}

/// What to do with a waiter that [`Locked::scan`] looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// Let it wait, and go on with the next.
    Keep,
    /// Take it out of the line, wake it, and go on with the next.
    Wake,
    /// Let it wait, and end the scan.
    Stop,
}

impl<S, N> WaitList<S, N> {
    /// A list of one line, without waiters.
    pub fn new(state: S) -> Self {
        Self::with_lines(state)
    }
}

impl<S, N, const LINES: usize> WaitList<S, N, LINES> {
    /// A list of several lines under one lock, without waiters: for a state that tasks wait for in more than one way,
    /// such as a queue, where tasks wait to push and others wait to pop.
    pub fn with_lines(state: S) -> Self {
        const { assert!(LINES > 0 && LINES <= 255, "a list has between 1 and 255 lines") };
        let lines = [const { NodeList::new() }; LINES];
        Self { shared: Arc::new(Shared { inner: Mutex::new(Inner { state, lines }) }) }
    }

    /// Takes the lock for the state alone, which is enough for most calls. [`Held::locked`] gives access to the lines.
    #[inline]
    pub fn hold(&self) -> Held<'_, S, N, LINES> {
        let guard = self.shared.inner.lock();
        Held { shared: &self.shared, guard }
    }

    /// As [`hold`](Self::hold), or `None` if another thread has the lock.
    #[inline]
    pub fn try_hold(&self) -> Option<Held<'_, S, N, LINES>> {
        let guard = self.shared.inner.try_lock()?;
        Some(Held { shared: &self.shared, guard })
    }

    /// Takes the lock. A panic of the code that holds it releases it. The links are never left half-written.
    #[inline]
    pub fn lock(&self) -> Locked<'_, S, N, LINES> {
        self.hold().locked()
    }

    pub(crate) fn from_shared(shared: Arc<Shared<S, N, LINES>>) -> Self {
        Self { shared }
    }
}

impl<'a, S, N, const LINES: usize> Held<'a, S, N, LINES> {
    /// Whether no waiter is in any line.
    #[inline]
    pub fn nobody_waits(&self) -> bool {
        self.guard.nobody_waits()
    }

    /// Goes on with access to the lines, without releasing the lock.
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
    /// If there is no line with this index.
    #[inline]
    pub fn line(&mut self, index: usize) -> Line<'_, S, N, LINES> {
        assert!(index < LINES, "the list has {LINES} lines");
        Line { shared: self.shared, inner: &mut self.guard, index }
    }

    /// Whether no waiter is in any line.
    #[inline]
    pub fn nobody_waits(&self) -> bool {
        self.guard.nobody_waits()
    }

    /// Whether no waiter is in the line.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many waiters are in the line.
    #[inline]
    pub fn len(&self) -> usize {
        self.guard.lines[0].len()
    }

    /// The state, and the value of the first waiter. Both can be read and changed.
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

    /// Ready with the waiter's value once it has been let go; the waiter is then idle again. Pending while it is in a
    /// line; its waker is then replaced by the current one.
    ///
    /// # Panics
    ///
    /// If the waiter is idle or in another list.
    #[inline]
    pub fn poll_woken(&mut self, waiter: Pin<&mut Waiter<S, N, LINES>>, cx: &mut Context<'_>) -> Poll<N> {
        let (list, node) = waiter.project();
        self.assert_member(list.as_ref());
        // SAFETY: the waiter is in this list, whose lock is held.
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

    /// Whether a waiter is in a line and has been nudged since it was last polled, so that it will look again.
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
        // SAFETY: the waiter is in this list, whose lock is held.
        unsafe { node.with(|slot| slot.is_queued() && slot.waker.is_none()) }
    }

    /// Takes a waiter out of its line, wherever it stands there, and says how it left. `None` if it was idle.
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
        // SAFETY: the waiter is in this list, whose lock is held. It is removed only while it is in a line, and from
        // that line.
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

    /// Takes the first waiter out of the line and returns its waker. The waiter gets its value from
    /// [`poll_woken`](Self::poll_woken).
    ///
    /// `None` means that no waiter is in the line. A waiter whose waker [`nudge_front`](Self::nudge_front) took has been
    /// woken already: for it the returned waker does nothing.
    #[inline]
    pub fn pop_front(&mut self) -> Option<Waker> {
        self.line(0).pop_front()
    }

    /// The waker of the first waiter, which stays in the line: the task is to look again at what it waits for.
    /// `None` if no waiter is in the line, or if the first was nudged before and has not been polled since.
    pub fn nudge_front(&mut self) -> Option<Waker> {
        self.line(0).nudge_front()
    }

    /// Looks at the waiters from the first on, and lets go those for which `decide` says [`Scan::Wake`].
    ///
    /// Returns whether the scan ended. `false` means that `wakers` was full: the caller releases the lock, wakes the
    /// wakers and calls again.
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
        self.lines.iter().map(NodeList::len).sum()
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
