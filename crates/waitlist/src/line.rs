//! One line of a list, for as long as the lock is held: who stands where, and who is let go.

use std::{
    fmt,
    pin::Pin,
    ptr::NonNull,
    task::{Context, Waker},
};

use crate::{
    list::{Inner, Scan, Shared},
    node::{Node, Queue},
    sync::Arc,
    waiter::Waiter,
    wakers::Wakers,
};

/// One of the lines of a locked list: what [`Locked::line`](crate::Locked::line) gives.
pub struct Line<'l, S, N, const LINES: usize> {
    pub(crate) shared: &'l Arc<Shared<S, N, LINES>>,
    pub(crate) inner: &'l mut Inner<S, N, LINES>,
    /// Below `LINES`.
    pub(crate) index: usize,
}

impl<'l, S, N, const LINES: usize> Line<'l, S, N, LINES> {
    /// Whether nobody is in line.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many are in line.
    #[inline]
    pub fn len(&self) -> usize {
        self.inner.lines[self.index].len()
    }

    /// The state and the value of the waiter at the head of the line, both to look at and to change.
    pub fn front(&mut self) -> Option<(&mut S, &mut N)> {
        Line { shared: self.shared, inner: self.inner, index: self.index }.into_front()
    }

    pub(crate) fn into_front(self) -> Option<(&'l mut S, &'l mut N)> {
        let Inner { state, lines } = self.inner;
        let node = lines[self.index].front()?;
        // SAFETY: the node is in line, so it is alive, and the lock is held for as long as the borrow lasts.
        let value = unsafe { node.as_ref().with(|slot| slot.value.as_mut().map(NonNull::from)) }?;
        // SAFETY: as above: nothing else reaches the slot before the borrow of the lock ends.
        Some((state, unsafe { &mut *value.as_ptr() }))
    }

    /// Puts a waiter at the end of the line.
    ///
    /// # Panics
    ///
    /// If the waiter is in a list already.
    #[inline]
    pub fn enqueue(&mut self, waiter: Pin<&mut Waiter<S, N, LINES>>, value: N, cx: &mut Context<'_>) {
        self.enqueue_after(waiter, value, cx, |_, _| true);
    }

    /// Puts a waiter behind the last one for which `goes_first(that one's value, its own)` holds: at the head if it
    /// holds for nobody. It looks from the end of the line forward.
    ///
    /// # Panics
    ///
    /// If the waiter is in a list already.
    #[inline]
    pub fn enqueue_after(
        &mut self,
        waiter: Pin<&mut Waiter<S, N, LINES>>,
        value: N,
        cx: &mut Context<'_>,
        mut goes_first: impl FnMut(&N, &N) -> bool,
    ) {
        let (list, node) = waiter.project();
        assert!(list.is_none(), "the waiter is in a list already");
        let mut ahead = self.queue().back();
        while let Some(other) = ahead {
            // SAFETY: the node is in this queue, and the lock is held. A node in line has a value.
            let (stop, prev) = unsafe {
                other
                    .as_ref()
                    .with(|slot| (slot.value.as_ref().is_none_or(|v| goes_first(v, &value)), slot.prev()))
            };
            if stop {
                break;
            }
            ahead = prev;
        }
        // SAFETY: a node in no list is its owner's, who has it borrowed mutably.
        unsafe {
            node.with(|slot| {
                slot.value = Some(value);
                slot.waker = Some(cx.waker().clone());
            });
        }
        *list = Some(Arc::clone(self.shared));
        let line = self.index as u32;
        // SAFETY: the lock is held, `ahead` is in this queue and the node in none; it is pinned, and its waiter's
        // drop removes it.
        unsafe { self.queue().insert_after(ahead, NonNull::from(node), line) };
    }

    /// Takes the head of the line out and returns its waker, as [`Locked::pop_front`](crate::Locked::pop_front) does.
    #[inline]
    pub fn pop_front(&mut self) -> Option<Waker> {
        let node = self.queue().front()?;
        // SAFETY: the node is at the front of this queue, and the lock is held.
        Some(unsafe { self.release(node) }.unwrap_or_else(|| Waker::noop().clone()))
    }

    /// The waker of the head of the line, which stays there: to make it look again at what it waits for.
    /// `None` if nobody is in line, or the head was nudged before and has not been polled since.
    pub fn nudge_front(&mut self) -> Option<Waker> {
        let node = self.queue().front()?;
        // SAFETY: the node is at the front of this queue, and the lock is held.
        unsafe { node.as_ref().with(|slot| slot.waker.take()) }
    }

    /// The waker of the first in line that has not been nudged since it was last polled, and its value; all stay where
    /// they are. It walks past those that have been. `None` if there is nobody else.
    #[inline]
    pub fn nudge_next(&mut self) -> Option<(Waker, &N)> {
        let mut cursor = self.queue().front();
        while let Some(node) = cursor {
            // SAFETY: the node is in this queue, and the lock is held.
            let waker = unsafe { node.as_ref().with(|slot| slot.waker.take()) };
            if let Some(waker) = waker {
                // SAFETY: as above. A node in line has a value.
                let value = unsafe { node.as_ref().with(|slot| slot.value.as_ref().map(NonNull::from)) }?;
                // SAFETY: as above: nothing else reaches the slot before the borrow of the lock ends.
                return Some((waker, unsafe { value.as_ref() }));
            }
            // SAFETY: as above.
            cursor = unsafe { self.queue().next(node) };
        }
        None
    }

    /// Looks at the waiters from the head of the line on, letting go those for which `decide` says so, as
    /// [`Locked::scan`](crate::Locked::scan) does.
    pub fn scan(&mut self, wakers: &mut Wakers, mut decide: impl FnMut(&mut S, &mut N) -> Scan) -> bool {
        let mut cursor = self.queue().front();
        while let Some(node) = cursor {
            if wakers.is_full() {
                return false;
            }
            // SAFETY: the node is in this queue, and the lock is held.
            cursor = unsafe { self.queue().next(node) };
            let state = &mut self.inner.state;
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
    /// `node` is in this line's queue.
    unsafe fn release(&mut self, node: NonNull<Node<N>>) -> Option<Waker> {
        // SAFETY: by contract, and the lock is held. The waker is taken before the node can be taken for woken by
        // its owner, which happens under this lock.
        unsafe {
            self.queue().remove(node);
            node.as_ref().with(|slot| slot.waker.take())
        }
    }

    #[inline]
    fn queue(&mut self) -> &mut Queue<N> {
        &mut self.inner.lines[self.index]
    }
}

impl<S: fmt::Debug, N, const LINES: usize> fmt::Debug for Line<'_, S, N, LINES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("state", &self.inner.state).field("waiting", &self.len()).finish()
    }
}
