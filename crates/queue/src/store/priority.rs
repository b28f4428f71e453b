//! A store that gives out the lowest sort key first, and the oldest first among equals.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, VecDeque},
};

use super::{is_sparse, shrink};
use crate::rank::{BY_KEY, SortKey};

/// How many of the lowest ranks have a FIFO of their own.
const CLASSES: u32 = BY_KEY;

/// Each rank below [`CLASSES`] has a FIFO. The lowest set bit of a word says which of them is the first that is not empty.
/// All other ranks share a heap, and come after the FIFOs. Items with a key are in the heap.
pub(crate) struct Priority<T, K> {
    /// Bit `rank` is set while that FIFO is not empty.
    occupied: u64,
    classes: [VecDeque<T>; CLASSES as usize],
    heap: BinaryHeap<Reverse<HeapEntry<T, K>>>,
    /// How many items have been pushed to the heap. This number keeps equals in the order of their arrival.
    arrivals: u64,
}

struct HeapEntry<T, K> {
    sort_key: SortKey<K>,
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
    pub(crate) fn push(&mut self, sort_key: SortKey<K>, item: T) {
        let rank = sort_key.rank();
        if rank < CLASSES {
            self.classes[rank as usize].push_back(item);
            self.occupied |= 1 << rank;
        } else {
            self.push_to_heap(sort_key, item);
        }
    }

    /// Takes the first item, with its sort key.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<(SortKey<K>, T)> {
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
        Some((SortKey::ranked(rank), first?))
    }

    #[inline(never)]
    fn push_to_heap(&mut self, sort_key: SortKey<K>, item: T) {
        self.heap.push(Reverse(HeapEntry { sort_key, arrival: self.arrivals, item }));
        self.arrivals += 1;
    }

    #[inline(never)]
    fn pop_from_heap(&mut self) -> Option<(SortKey<K>, T)> {
        let Reverse(HeapEntry { sort_key, item, .. }) = self.heap.pop()?;
        if is_sparse(self.heap.len(), self.heap.capacity()) {
            self.heap.shrink_to(self.heap.capacity() / 2);
        }
        Some((sort_key, item))
    }

    /// Whether the item that [`pop`](Self::pop) would return goes before this sort key.
    pub(crate) fn first_is_before(&self, sort_key: &SortKey<K>) -> bool {
        if self.occupied == 0 {
            return self.heap.peek().is_some_and(|Reverse(first)| first.sort_key < *sort_key);
        }
        self.occupied.trailing_zeros() < sort_key.rank()
    }
}

// The item itself is not compared, even if its type has an order.
impl<T, K: Ord> Ord for HeapEntry<T, K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.sort_key.cmp(&other.sort_key).then(self.arrival.cmp(&other.arrival))
    }
}

impl<T, K: Ord> PartialOrd for HeapEntry<T, K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T, K: Ord> PartialEq for HeapEntry<T, K> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T, K: Ord> Eq for HeapEntry<T, K> {}
