//! One line of waiters, while the lock is held: its order, and which waiters are let go.

use std::{
    fmt,
    pin::Pin,
    ptr::NonNull,
    task::{Context, Waker},
};

use crate::{
    list::{Inner, Scan, Shared},
    node::{Node, NodeList},
    sync::Arc,
    waiter::Waiter,
    wakers::Wakers,
};

/// One of the lines of a locked list; made by [`Locked::line`](crate::Locked::line).
pub struct Line<'l, S, N, const LINES: usize> {
    pub(crate) shared: &'l Arc<Shared<S, N, LINES>>,
    pub(crate) inner: &'l mut Inner<S, N, LINES>,
    /// Below `LINES`.
    pub(crate) index: usize,
}

impl<'l, S, N, const LINES: usize> Line<'l, S, N, LINES> {
    /// Whether no waiter is in the line.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many waiters are in the line.
    #[inline]
    pub fn len(&self) -> usize {
        self.inner.lines[self.index].len()
    }

    /// The state, and the value of the first waiter. Both can be read and changed.
    pub fn front(&mut self) -> Option<(&mut S, &mut N)> {
        Line { shared: self.shared, inner: self.inner, index: self.index }.into_front()
    }

    pub(crate) fn into_front(self) -> Option<(&'l mut S, &'l mut N)> {
        let Inner { state, lines } = self.inner;
        let node = lines[self.index].front()?;
        // SAFETY: the node is in line, so it is alive, and the lock is held for as long as the borrow lasts.
        let value = unsafe { node.as_ref().with(|slot| slot.value.as_mut().map(NonNull::from)) }?;
        // SAFETY: as above. Nothing else reaches the slot before the borrow of the lock ends.
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

    /// Puts a waiter behind the last waiter that goes before it. `goes_first(value of the other, value of this one)`
    /// says whether another waiter goes before this one. If none does, this one becomes the first.
    ///
    /// The search goes from the end of the line to its head.
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
        let mut ahead = self.nodes().back();
        while let Some(other) = ahead {
            // SAFETY: the node is in this list, and the lock is held. A node in line has a value.
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
        // SAFETY: a node in no list belongs to its waiter, which is borrowed mutably here.
        unsafe {
            node.with(|slot| {
                slot.value = Some(value);
                slot.waker = Some(cx.waker().clone());
            });
        }
        *list = Some(Arc::clone(self.shared));
        let line = self.index as u32;
        // SAFETY: the lock is held, `ahead` is in this list and the node in none. The node is pinned, and the drop of
        // its waiter removes it.
        unsafe { self.nodes().insert_after(ahead, NonNull::from(node), line) };
    }

    /// Takes the first waiter out and returns its waker, as [`Locked::pop_front`](crate::Locked::pop_front) does.
    #[inline]
    pub fn pop_front(&mut self) -> Option<Waker> {
        let node = self.nodes().front()?;
        // SAFETY: the node is at the front of this list, and the lock is held.
        Some(unsafe { self.release(node) }.unwrap_or_else(|| Waker::noop().clone()))
    }

    /// The waker of the first waiter, which stays in the line: the task is to look again at what it waits for.
    /// `None` if no waiter is in the line, or if the first was nudged before and has not been polled since.
    pub fn nudge_front(&mut self) -> Option<Waker> {
        let node = self.nodes().front()?;
        // SAFETY: the node is at the front of this list, and the lock is held.
        unsafe { node.as_ref().with(|slot| slot.waker.take()) }
    }

    /// The waker and the value of the first waiter that has not been nudged since it was last polled. All waiters stay
    /// in the line. `None` if all have been nudged.
    #[inline]
    pub fn nudge_next(&mut self) -> Option<(Waker, &N)> {
        let mut cursor = self.nodes().front();
        while let Some(node) = cursor {
            // SAFETY: the node is in this list, and the lock is held.
            let waker = unsafe { node.as_ref().with(|slot| slot.waker.take()) };
            if let Some(waker) = waker {
                // SAFETY: as above. A node in line has a value.
                let value = unsafe { node.as_ref().with(|slot| slot.value.as_ref().map(NonNull::from)) }?;
                // SAFETY: as above. Nothing else reaches the slot before the borrow of the lock ends.
                return Some((waker, unsafe { value.as_ref() }));
            }
            // SAFETY: as above.
            cursor = unsafe { self.nodes().next(node) };
        }
        None
    }

    /// Looks at the waiters from the first on, and lets go those for which `decide` says [`Scan::Wake`], as
    /// [`Locked::scan`](crate::Locked::scan) does.
    pub fn scan(&mut self, wakers: &mut Wakers, mut decide: impl FnMut(&mut S, &mut N) -> Scan) -> bool {
        let mut cursor = self.nodes().front();
        while let Some(node) = cursor {
            if wakers.is_full() {
                return false;
            }
            // SAFETY: the node is in this list, and the lock is held.
            cursor = unsafe { self.nodes().next(node) };
            let state = &mut self.inner.state;
            // SAFETY: as above. `decide` is given the state and the value, and cannot reach the list.
            let decision = unsafe {
                node.as_ref().with(|slot| match slot.value.as_mut() {
                    Some(value) => decide(state, value),
                    None => Scan::Keep,
                })
            };
            match decision {
                Scan::Keep => {}
                Scan::Stop => return true,
                // SAFETY: the node is in this list, and the lock is held.
                Scan::Wake => wakers.push(unsafe { self.release(node) }),
            }
        }
        true
    }

    /// # Safety
    ///
    /// `node` is in the nodes of this line.
    unsafe fn release(&mut self, node: NonNull<Node<N>>) -> Option<Waker> {
        // SAFETY: by this function's contract, and the lock is held. The waiter sees that it was woken only under this
        // lock, so the waker is taken before that.
        unsafe {
            self.nodes().remove(node);
            node.as_ref().with(|slot| slot.waker.take())
        }
    }

    #[inline]
    fn nodes(&mut self) -> &mut NodeList<N> {
        &mut self.inner.lines[self.index]
    }
}

impl<S: fmt::Debug, N, const LINES: usize> fmt::Debug for Line<'_, S, N, LINES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("state", &self.inner.state).field("waiting", &self.len()).finish()
    }
}
