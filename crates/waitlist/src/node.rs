//! The doubly linked list itself: nodes that live in their waiters, links that only the lock's holder touches.

use std::{marker::PhantomPinned, mem::ManuallyDrop, ptr::NonNull, task::Waker};

use crate::sync::UnsafeCell;

/// A place in line, embedded in a pinned `Waiter`.
///
/// Invariant: between `Queue::insert_after` and the moment its slot says neither queued nor holds a value, the slot is
/// accessed only under the lock of the list that the node has joined. Before and after, only its owner accesses it,
/// through `&mut Waiter`.
pub(crate) struct Node<N> {
    /// Never dropped, because there is nothing to drop: an idle waiter's slot holds neither a value nor a waker, and
    /// a waiter's drop makes it idle. Most waiters never wait, and looking would be a good part of what they cost.
    slot: UnsafeCell<ManuallyDrop<Slot<N>>>,
    _pin: PhantomPinned,
}

/// The line of a node that is not queued.
const IN_NONE: u32 = u32::MAX;

/// What a node holds. `line` and `value` tell its three states: idle (no value), queued, and woken (a value, but no
/// longer queued).
// In this order: half of an empty waker is never written, and with other fields behind it the compiler moves them all
// by loads wider than the stores before them. A queue's push and pop take 50 ns then, and 31 so.
#[repr(C)]
pub(crate) struct Slot<N> {
    prev: Option<NonNull<Node<N>>>,
    next: Option<NonNull<Node<N>>>,
    /// Which of the list's lines it is in, or `IN_NONE`. One word with the value, where that is small: a waiter is
    /// moved about before it is pinned, and odd bytes make moves slow.
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
    /// The caller has exclusive access to the slot: it holds the lock of the list that the node has joined, or owns
    /// a node that has joined none. `f` does not reach this slot another way.
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

/// A list of nodes, head first. It owns none of them.
pub(crate) struct Queue<N> {
    head: Option<NonNull<Node<N>>>,
    tail: Option<NonNull<Node<N>>>,
    len: usize,
}

// SAFETY: the queue is a set of pointers to nodes that other threads own; whoever holds the queue (under the list's
// lock) may read and move their values and wakers, which are `Send`.
unsafe impl<N: Send> Send for Queue<N> {}

impl<N> Queue<N> {
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
    /// The lock is held, and `node` is in this queue.
    pub(crate) unsafe fn next(&self, node: NonNull<Node<N>>) -> Option<NonNull<Node<N>>> {
        // SAFETY: nodes in a queue are alive and pinned, and the lock gives exclusive access to their slots.
        unsafe { node.as_ref().with(|slot| slot.next) }
    }

    /// Puts `node` behind `prev`; with none, at the head. `line` is the number of this queue.
    ///
    /// # Safety
    ///
    /// The lock is held, `prev` is in this queue and `node` in none. It stays alive and in place until it has been
    /// removed.
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
    /// The lock is held, and `node` is in this queue.
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
