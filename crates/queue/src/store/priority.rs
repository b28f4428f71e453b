//! Lowest rank first, first come first among equals.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, VecDeque},
};

use super::{is_sparse, shrink};

/// How many of the lowest ranks have a FIFO of their own.
const CLASSES: u32 = u64::BITS;

/// The ranks below [`CLASSES`] are FIFOs, found by the lowest set bit of a word; the others share a heap. Whatever
/// is in the heap ranks behind all that is in the FIFOs.
pub(crate) struct Priority<T> {
    /// Bit `rank` is set while that FIFO is not empty.
    occupied: u64,
    classes: [VecDeque<T>; CLASSES as usize],
    heap: BinaryHeap<Reverse<Ranked<T>>>,
    /// How many items have gone through the heap: what makes it first come first among equals.
    arrivals: u64,
}

struct Ranked<T> {
    rank: u32,
    arrival: u64,
    item: T,
}

impl<T> Priority<T> {
    pub(crate) fn new() -> Self {
        Self {
            occupied: 0,
            classes: [const { VecDeque::new() }; CLASSES as usize],
            heap: BinaryHeap::new(),
            arrivals: 0,
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, rank: u32, item: T) {
        if rank < CLASSES {
            self.classes[rank as usize].push_back(item);
            self.occupied |= 1 << rank;
        } else {
            self.push_to_heap(rank, item);
        }
    }

    /// The first item, with its rank.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<(u32, T)> {
        if self.occupied == 0 {
            return self.pop_from_heap();
        }
        let rank = self.occupied.trailing_zeros();
        let class = &mut self.classes[rank as usize];
        let item = class.pop_front();
        if class.is_empty() {
            self.occupied &= !(1 << rank);
        }
        if is_sparse(class.len(), class.capacity()) {
            shrink(class);
        }
        Some((rank, item?))
    }

    #[inline(never)]
    fn push_to_heap(&mut self, rank: u32, item: T) {
        self.heap.push(Reverse(Ranked { rank, arrival: self.arrivals, item }));
        self.arrivals += 1;
    }

    #[inline(never)]
    fn pop_from_heap(&mut self) -> Option<(u32, T)> {
        let Reverse(Ranked { rank, item, .. }) = self.heap.pop()?;
        if is_sparse(self.heap.len(), self.heap.capacity()) {
            self.heap.shrink_to(self.heap.capacity() / 2);
        }
        Some((rank, item))
    }

    /// The rank of what [`pop`](Self::pop) would return.
    pub(crate) fn first_rank(&self) -> Option<u32> {
        if self.occupied == 0 {
            return self.heap.peek().map(|Reverse(ranked)| ranked.rank);
        }
        Some(self.occupied.trailing_zeros())
    }
}

// Only rank and arrival count, so that nothing of the user's runs when the heap compares.
impl<T> Ord for Ranked<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.rank, self.arrival).cmp(&(other.rank, other.arrival))
    }
}

impl<T> PartialOrd for Ranked<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Ranked<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Ranked<T> {}
