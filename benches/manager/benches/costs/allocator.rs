//! An allocator that counts: how often memory was asked for, and how much of it.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// The system's allocator, counted.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static PEAK: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

/// Allocations and reallocations since the process began.
pub(super) fn allocations() -> u64 {
    ALLOCATIONS.load(Relaxed)
}

/// Bytes that are allocated now; the peak begins again from here.
pub(super) fn reset_peak() -> u64 {
    let bytes = BYTES.load(Relaxed);
    PEAK.store(bytes, Relaxed);
    bytes
}

/// The most bytes that were allocated at once since [`reset_peak`].
pub(super) fn peak() -> u64 {
    PEAK.load(Relaxed)
}

fn grown(by: usize) {
    ALLOCATIONS.fetch_add(1, Relaxed);
    let bytes = BYTES.fetch_add(by as u64, Relaxed) + by as u64;
    PEAK.fetch_max(bytes, Relaxed);
}

// SAFETY: every call goes to the system's allocator as it is; counting touches nothing that is allocated.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size() as u64, Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        BYTES.fetch_sub(layout.size() as u64, Relaxed);
        grown(size);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
