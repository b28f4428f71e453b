//! The place in line that a future carries.

use std::{fmt, mem::ManuallyDrop, pin::Pin};

use crate::{
    list::{Shared, WaitList},
    node::Node,
    sync::Arc,
};

/// The list that a waiter has joined, if any.
pub(crate) type Membership<S, N, const LINES: usize> = Option<Arc<Shared<S, N, LINES>>>;

/// A place in line, kept inside a future: idle until [`enqueue`](crate::Locked::enqueue) puts it into a list.
///
/// It needs pinning, since the list points at it. Dropping it takes it out of the list; its value is dropped with it,
/// so a future whose value can stand for something granted asks [`leave`](crate::Locked::leave) first.
pub struct Waiter<S, N, const LINES: usize = 1> {
    /// The list it has joined: set by `enqueue`, taken when the value comes back out. It keeps the list alive.
    /// Not dropped with the waiter, whose drop has emptied it by then: one look is enough for one that never waited.
    pub(crate) list: ManuallyDrop<Membership<S, N, LINES>>,
    pub(crate) node: Node<N>,
}

// SAFETY: the node's slot is reached only under the list's lock once it has joined a list, and through `&mut Waiter`
// before that. What it shares with the lock's holders (value, state) is `Send`.
unsafe impl<S: Send, N: Send, const LINES: usize> Send for Waiter<S, N, LINES> {}
// SAFETY: `&Waiter` gives access to nothing but whether `list` is set, which changes only through `&mut Waiter`.
unsafe impl<S: Send, N: Send, const LINES: usize> Sync for Waiter<S, N, LINES> {}

impl<S, N, const LINES: usize> Waiter<S, N, LINES> {
    /// A waiter in no list.
    pub fn new() -> Self {
        Self { list: ManuallyDrop::new(None), node: Node::new() }
    }

    /// Whether it is in no list and has nothing to take: before it is enqueued, and after its value came back.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.list.is_none()
    }

    /// Splits a pinned waiter into the handle of its list and its pinned node.
    pub(crate) fn project(self: Pin<&mut Self>) -> (&mut Membership<S, N, LINES>, &Node<N>) {
        // SAFETY: `list` is not structurally pinned, and the node is only handed out by shared reference.
        let this = unsafe { self.get_unchecked_mut() };
        (&mut this.list, &this.node)
    }
}

impl<S, N, const LINES: usize> Default for Waiter<S, N, LINES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S, N, const LINES: usize> Drop for Waiter<S, N, LINES> {
    #[inline]
    fn drop(&mut self) {
        // Most waiters never wait, and those that did have mostly left.
        if self.list.is_some() {
            leave_on_drop(self);
        }
    }
}

#[cold]
#[inline(never)]
fn leave_on_drop<S, N, const LINES: usize>(waiter: &mut Waiter<S, N, LINES>) {
    if let Some(shared) = waiter.list.as_ref().map(Arc::clone) {
        let list = WaitList::from_shared(shared);
        // SAFETY: a waiter that has joined a list was pinned, and stays in place until its drop has returned.
        let waiter = unsafe { Pin::new_unchecked(waiter) };
        let left = list.lock().leave(waiter);
        drop(left);
    }
}

impl<S, N, const LINES: usize> fmt::Debug for Waiter<S, N, LINES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter").field("idle", &self.is_idle()).finish()
    }
}
