//! The lock, the state behind it, and what may be done with the line while it is held.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    pin::Pin,
    ptr::NonNull,
    sync::PoisonError,
    task::{Context, Poll, Waker},
};

use crate::{
    node::{Node, Queue},
    sync::{Arc, Mutex, MutexGuard},
    waiter::Waiter,
    wakers::Wakers,
};

/// A state `S` under a short lock, and the tasks that wait for it, first come first. Each brings a value `N`.
///
/// Cloning gives another handle to the same list. Waiters in line keep it alive.
pub struct WaitList<S, N> {
    shared: Arc<Shared<S, N>>,
}

pub(crate) struct Shared<S, N> {
    inner: Mutex<Inner<S, N>>,
}

struct Inner<S, N> {
    state: S,
    queue: Queue<N>,
}

/// The lock, held. It derefs to the state.
pub struct Locked<'a, S, N> {
    shared: &'a Arc<Shared<S, N>>,
    guard: MutexGuard<'a, Inner<S, N>>,
    // A waker that was replaced. Dropping one may run other people's code, so it is dropped after the guard is.
    retired: Option<Waker>,
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
    /// A list with nobody in it.
    pub fn new(state: S) -> Self {
        Self { shared: Arc::new(Shared { inner: Mutex::new(Inner { state, queue: Queue::new() }) }) }
    }

    /// Takes the lock. A lock poisoned by a panic is taken all the same: the links are never left half-written.
    #[inline]
    pub fn lock(&self) -> Locked<'_, S, N> {
        let guard = self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner);
        Locked { shared: &self.shared, guard, retired: None }
    }

    pub(crate) fn from_shared(shared: Arc<Shared<S, N>>) -> Self {
        Self { shared }
    }
}

impl<S, N> Locked<'_, S, N> {
    /// Whether nobody is in line.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.guard.queue.len() == 0
    }

    /// How many are in line.
    #[inline]
    pub fn len(&self) -> usize {
        self.guard.queue.len()
    }

    /// The state and the value of the waiter at the head of the line, both to look at and to change.
    pub fn front(&mut self) -> Option<(&mut S, &mut N)> {
        let Inner { state, queue } = &mut *self.guard;
        let node = queue.front()?;
        // SAFETY: the node is in line, so it is alive, and the lock is held for as long as the borrow lasts.
        let value = unsafe { node.as_ref().with(|slot| slot.value.as_mut().map(NonNull::from)) }?;
        // SAFETY: as above: nothing else reaches the slot before the borrow of `self` ends.
        Some((state, unsafe { &mut *value.as_ptr() }))
    }

    /// Puts a waiter at the end of the line.
    ///
    /// # Panics
    ///
    /// If the waiter is in a list already.
    pub fn enqueue(&mut self, waiter: Pin<&mut Waiter<S, N>>, value: N, cx: &mut Context<'_>) {
        let (list, node) = waiter.project();
        assert!(list.is_none(), "the waiter is in a list already");
        // SAFETY: a node in no list is its owner's, who has it borrowed mutably.
        unsafe {
            node.with(|slot| {
                slot.value = Some(value);
                slot.waker = Some(cx.waker().clone());
            });
        }
        *list = Some(Arc::clone(self.shared));
        // SAFETY: the lock is held, the node is in no queue; it is pinned, and its waiter's drop removes it.
        unsafe { self.guard.queue.push_back(NonNull::from(node)) };
    }

    /// Asks for an enqueued waiter: ready with its value once it has been let go, and then idle again; pending while
    /// it is in line, with the waker renewed.
    ///
    /// # Panics
    ///
    /// If the waiter is idle or in another list.
    pub fn poll_woken(&mut self, waiter: Pin<&mut Waiter<S, N>>, cx: &mut Context<'_>) -> Poll<N> {
        let (list, node) = waiter.project();
        self.assert_member(list.as_ref());
        // SAFETY: the waiter has joined this list, whose lock is held.
        let (value, retired) = unsafe {
            node.with(|slot| {
                if !slot.queued {
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

    /// Takes a waiter out, wherever it stands, and says how it left. `None` if it was idle.
    ///
    /// # Panics
    ///
    /// If the waiter is in another list.
    pub fn leave(&mut self, waiter: Pin<&mut Waiter<S, N>>) -> Option<Left<N>> {
        let (list, node) = waiter.project();
        if list.is_none() {
            return None;
        }
        self.assert_member(list.as_ref());
        // SAFETY: the waiter has joined this list, whose lock is held; it is removed only while it is queued.
        let (value, queued) = unsafe {
            let queued = node.with(|slot| slot.queued);
            if queued {
                self.guard.queue.remove(NonNull::from(node));
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
        let node = self.guard.queue.front()?;
        // SAFETY: the node is at the front of this queue, and the lock is held.
        Some(unsafe { self.release(node) }.unwrap_or_else(|| Waker::noop().clone()))
    }

    /// The waker of the head of the line, which stays there: to make it look again at what it waits for.
    /// `None` if nobody is in line, or the head was nudged before and has not been polled since.
    pub fn nudge_front(&mut self) -> Option<Waker> {
        let node = self.guard.queue.front()?;
        // SAFETY: the node is at the front of this queue, and the lock is held.
        unsafe { node.as_ref().with(|slot| slot.waker.take()) }
    }

    /// Looks at the waiters from the head of the line on, letting go those for which `decide` says so.
    ///
    /// Returns whether it came to an end: `false` means that `wakers` was full, so the caller releases the lock, wakes
    /// and calls again.
    pub fn scan(&mut self, wakers: &mut Wakers, mut decide: impl FnMut(&mut S, &mut N) -> Scan) -> bool {
        let mut cursor = self.guard.queue.front();
        while let Some(node) = cursor {
            if wakers.is_full() {
                return false;
            }
            // SAFETY: the node is in this queue, and the lock is held.
            cursor = unsafe { self.guard.queue.next(node) };
            let Inner { state, .. } = &mut *self.guard;
            // SAFETY: as above. `decide` has the state and the value, and no way to the list.
            let decision = unsafe {
                node.as_ref().with(|slot| match slot.value.as_mut() {
                    Some(value) => decide(state, value),
                    None => Scan::Keep,
                })
            };
            match decision {
                Scan::Keep => {}
                Scan::Stop => return true,
                // SAFETY: the node is in this queue, and the lock is held.
                Scan::Wake => wakers.push(unsafe { self.release(node) }),
            }
        }
        true
    }

    /// # Safety
    ///
    /// `node` is in this list's queue.
    unsafe fn release(&mut self, node: NonNull<Node<N>>) -> Option<Waker> {
        // SAFETY: by contract, and the lock is held. The waker is taken before the node can be taken for woken by
        // its owner, which happens under this lock.
        unsafe {
            self.guard.queue.remove(node);
            node.as_ref().with(|slot| slot.waker.take())
        }
    }

    fn assert_member(&self, list: Option<&Arc<Shared<S, N>>>) {
        let member = list.is_some_and(|list| Arc::ptr_eq(list, self.shared));
        assert!(member, "the waiter is idle or in another list");
    }
}

impl<S, N> Deref for Locked<'_, S, N> {
    type Target = S;

    #[inline]
    fn deref(&self) -> &S {
        &self.guard.state
    }
}

impl<S, N> DerefMut for Locked<'_, S, N> {
    #[inline]
    fn deref_mut(&mut self) -> &mut S {
        &mut self.guard.state
    }
}

impl<S, N> Clone for WaitList<S, N> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<S: fmt::Debug, N> fmt::Debug for WaitList<S, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = self.lock();
        f.debug_struct("WaitList").field("state", &*list).field("waiting", &list.len()).finish()
    }
}

impl<S: fmt::Debug, N> fmt::Debug for Locked<'_, S, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locked").field("state", &self.guard.state).field("waiting", &self.len()).finish()
    }
}
