//! The doubly linked list. The nodes live inside the waiters. Only the code that holds the lock touches the links.

use std::{marker::PhantomPinned, mem::ManuallyDrop, ptr::NonNull, task::Waker};

use crate::sync::UnsafeCell;

/// An entry of a list, embedded in a pinned `Waiter`.
///
/// Invariant: from `NodeList::insert_after` on, until the slot is neither queued nor holds a value, the slot is accessed
/// only under the lock of its list. Before and after that, only the waiter accesses it, through `&mut Waiter`.
pub(crate) struct Node<N> {
    /// It is never dropped, because there is nothing to drop: the drop of a waiter makes it idle, and an idle slot holds
    /// neither a value nor a waker. Most waiters never wait, and for them a check would be a large part of the cost.
    slot: UnsafeCell<ManuallyDrop<Slot<N>>>,
    _pin: PhantomPinned,
}

/// The line of a node that is not queued.
const IN_NONE: u32 = u32::MAX;

/// What a node holds. `line` and `value` tell its three states: idle (no value), queued, and woken (a value, but no
/// longer queued).
// The waker is last for speed: half of an empty waker is never written. With fields behind the waker the compiler copies
// the slot by loads that are wider than the stores before them, and these stall the processor.
#[repr(C)]
pub(crate) struct Slot<N> {
    prev: Option<NonNull<Node<N>>>,
    next: Option<NonNull<Node<N>>>,
    /// The index of the line that the node is in, or `IN_NONE`. It shares a word with a small value: a waiter is moved
    /// before it is pinned, and odd sizes make moves slow.
    pub(crate) line: u32,
    pub(crate) value: Option<N>,
    pub(crate) waker: Option<Waker>,
}

impl<N> Node<N> {
    pub(crate) fn new() -> Self {
        let slot = Slot { prev: None, next: None, line: IN_NONE, waker: None, value: None };
        Self { slot: UnsafeCell::new(ManuallyDrop::new(slot)), _pin: PhantomPinned }
    }

    /// # Safety
    ///
    /// The caller has exclusive access to the slot: it holds the lock of the node's list, or owns a node that is in no
    /// list. `f` does not reach this slot in another way.
    #[inline]
    pub(crate) unsafe fn with<R>(&self, f: impl FnOnce(&mut Slot<N>) -> R) -> R {
        // SAFETY: the pointer is valid, and the caller vouches for exclusive access.
        self.slot.with_mut(|slot| f(unsafe { &mut *slot }))
    }
}

impl<N> Slot<N> {
    #[inline]
    pub(crate) fn is_queued(&self) -> bool {
        self.line != IN_NONE
    }

    pub(crate) fn prev(&self) -> Option<NonNull<Node<N>>> {
        self.prev
    }
}

/// The nodes of one line, from the head to the tail. The list does not own them.
pub(crate) struct NodeList<N> {
    head: Option<NonNull<Node<N>>>,
    tail: Option<NonNull<Node<N>>>,
    len: usize,
}

// SAFETY: the list is a set of pointers to nodes that other threads own. The code that has the list (under the lock) may
// read and move the values and wakers of the nodes, which are `Send`.
unsafe impl<N: Send> Send for NodeList<N> {}

impl<N> NodeList<N> {
    pub(crate) const fn new() -> Self {
        Self { head: None, tail: None, len: 0 }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn front(&self) -> Option<NonNull<Node<N>>> {
        self.head
    }

    #[inline]
    pub(crate) fn back(&self) -> Option<NonNull<Node<N>>> {
        self.tail
    }

    /// # Safety
    ///
    /// The lock is held, and `node` is in this list.
    pub(crate) unsafe fn next(&self, node: NonNull<Node<N>>) -> Option<NonNull<Node<N>>> {
        // SAFETY: nodes in a list are alive and pinned, and the lock gives exclusive access to their slots.
        unsafe { node.as_ref().with(|slot| slot.next) }
    }

    /// Puts `node` behind `prev`, or at the head if `prev` is `None`. `line` is the index of this list's line.
    ///
    /// # Safety
    ///
    /// The lock is held, `prev` is in this list and `node` in none. `node` stays alive and is not moved until it has
    /// been removed.
    #[inline]
    pub(crate) unsafe fn insert_after(
        &mut self,
        prev: Option<NonNull<Node<N>>>,
        node: NonNull<Node<N>>,
        line: u32,
    ) {
        // SAFETY: as in `next`, for `node` by this function's contract and for its neighbours as members.
        unsafe {
            let next = match prev {
                Some(prev) => prev.as_ref().with(|slot| slot.next.replace(node)),
                None => self.head.replace(node),
            };
            match next {
                Some(next) => next.as_ref().with(|slot| slot.prev = Some(node)),
                None => self.tail = Some(node),
            }
            node.as_ref().with(|slot| {
                slot.prev = prev;
                slot.next = next;
                slot.line = line;
            });
        }
        self.len += 1;
    }

    /// # Safety
    ///
    /// The lock is held, and `node` is in this list.
    #[inline]
    pub(crate) unsafe fn remove(&mut self, node: NonNull<Node<N>>) {
        // SAFETY: as in `next`, for `node` and its neighbours.
        unsafe {
            let (prev, next) = node.as_ref().with(|slot| {
                slot.line = IN_NONE;
                (slot.prev.take(), slot.next.take())
            });
            match prev {
                Some(prev) => prev.as_ref().with(|slot| slot.next = next),
                None => self.head = next,
            }
            match next {
                Some(next) => next.as_ref().with(|slot| slot.prev = prev),
                None => self.tail = prev,
            }
        }
        self.len -= 1;
    }
}
