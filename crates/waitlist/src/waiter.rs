//! The waiter: a task's entry in a list, which lives inside the future that waits.

use std::{fmt, mem::ManuallyDrop, pin::Pin};

use crate::{
    list::{Shared, WaitList},
    node::Node,
    sync::Arc,
};

/// The list that a waiter is in, if any.
pub(crate) type Membership<S, N, const LINES: usize> = Option<Arc<Shared<S, N, LINES>>>;

/// A task's entry in a list. It lives inside a future, and is idle until [`enqueue`](crate::Locked::enqueue) puts it
/// into a list.
///
/// It has to be pinned, because the list points at it. Dropping it takes it out of the list and drops its value. If the
/// value can stand for something granted, the future calls [`leave`](crate::Locked::leave) before.
pub struct Waiter<S, N, const LINES: usize = 1> {
    /// The list that the waiter is in: set by `enqueue`, and taken when the value comes back. It keeps the list alive.
    /// The compiler does not drop it, because the waiter's own drop has emptied it by then. So a waiter that never
    /// waited is checked once and not twice.
    pub(crate) list: ManuallyDrop<Membership<S, N, LINES>>,
    pub(crate) node: Node<N>,
}

// SAFETY: while the node is in a list, its slot is reached only under the lock of that list. Before, it is reached only
// through `&mut Waiter`. What it shares with the code that holds the lock (value, state) is `Send`.
unsafe impl<S: Send, N: Send, const LINES: usize> Send for Waiter<S, N, LINES> {}
// SAFETY: `&Waiter` only tells whether `list` is set, and that changes only through `&mut Waiter`.
unsafe impl<S: Send, N: Send, const LINES: usize> Sync for Waiter<S, N, LINES> {}

impl<S, N, const LINES: usize> Waiter<S, N, LINES> {
    /// A waiter in no list.
    pub fn new() -> Self {
        Self { list: ManuallyDrop::new(None), node: Node::new() }
    }

    /// Whether it is in no list and has no value to take: before it is enqueued, and after its value came back.
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
        // Most waiters never wait, and most of those that waited have left before they are dropped.
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
        // SAFETY: a waiter in a list was pinned, and is not moved until its drop has returned.
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
