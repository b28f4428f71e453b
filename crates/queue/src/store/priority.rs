//! Lowest place first, first come first among equals.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, VecDeque},
};

use super::{is_sparse, shrink};
use crate::rank::{BY_KEY, Place};

/// How many of the lowest ranks have a FIFO of their own.
const CLASSES: u32 = BY_KEY;

/// The ranks below [`CLASSES`] are FIFOs, found by the lowest set bit of a word; the others share a heap. Whatever
/// is in the heap ranks behind all that is in the FIFOs. Items with a key are in the heap.
pub(crate) struct Priority<T, K> {
    /// Bit `rank` is set while that FIFO is not empty.
    occupied: u64,
    classes: [VecDeque<T>; CLASSES as usize],
    heap: BinaryHeap<Reverse<Placed<T, K>>>,
    /// How many items have gone through the heap: what makes it first come first among equals.
    arrivals: u64,
}

struct Placed<T, K> {
    place: Place<K>,
    arrival: u64,
    item: T,
}

impl<T, K: Ord> Priority<T, K> {
    pub(crate) fn new() -> Self {
        Self {
            occupied: 0,
            classes: [const { VecDeque::new() }; CLASSES as usize],
            heap: BinaryHeap::new(),
            arrivals: 0,
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, place: Place<K>, item: T) {
        let rank = place.rank();
        if rank < CLASSES {
            self.classes[rank as usize].push_back(item);
            self.occupied |= 1 << rank;
        } else {
            self.push_to_heap(place, item);
        }
    }

    /// The first item, with its place.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<(Place<K>, T)> {
        if self.occupied == 0 {
            return self.pop_from_heap();
        }
        let rank = self.occupied.trailing_zeros();
        let class = &mut self.classes[rank as usize];
        let first = class.pop_front();
        if class.is_empty() {
            self.occupied &= !(1 << rank);
        }
        if is_sparse(class.len(), class.capacity()) {
            shrink(class);
        }
        Some((Place::ranked(rank), first?))
    }

    #[inline(never)]
    fn push_to_heap(&mut self, place: Place<K>, item: T) {
        self.heap.push(Reverse(Placed { place, arrival: self.arrivals, item }));
        self.arrivals += 1;
    }

    #[inline(never)]
    fn pop_from_heap(&mut self) -> Option<(Place<K>, T)> {
        let Reverse(Placed { place, item, .. }) = self.heap.pop()?;
        if is_sparse(self.heap.len(), self.heap.capacity()) {
            self.heap.shrink_to(self.heap.capacity() / 2);
        }
        Some((place, item))
    }

    /// Whether what [`pop`](Self::pop) would return goes ahead of this place.
    pub(crate) fn first_is_before(&self, place: &Place<K>) -> bool {
        if self.occupied == 0 {
            return self.heap.peek().is_some_and(|Reverse(first)| first.place < *place);
        }
        self.occupied.trailing_zeros() < place.rank()
    }
}

// The item does not count, and neither does whatever order it may have.
impl<T, K: Ord> Ord for Placed<T, K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place.cmp(&other.place).then(self.arrival.cmp(&other.arrival))
    }
}

impl<T, K: Ord> PartialOrd for Placed<T, K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T, K: Ord> PartialEq for Placed<T, K> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T, K: Ord> Eq for Placed<T, K> {}
