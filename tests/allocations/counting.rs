//! An allocator that counts what it gives: how often it is asked, and the bytes that the calling thread has not given back.
//!
//! The count is of the thread, since the tests of one program run at the same time. What is counted is what was asked for, rounded
//! up as the C library does it.
#![expect(unsafe_code, reason = "an allocator is")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, and a count.
pub(crate) struct Counting;

/// Bytes that this thread has taken more than given back; it may give back what another has taken.
pub(crate) fn live_bytes() -> isize {
    LIVE.get()
}

/// How often this thread has asked for memory, or for more in the place of what it had.
pub(crate) fn allocations() -> usize {
    ALLOCATIONS.get()
}

/// What the C library takes for so many bytes: eight more for itself, in steps of 16, and never less than 32.
fn taken(bytes: usize) -> isize {
    (bytes + 8).next_multiple_of(16).max(32) as isize
}

fn count(bytes: isize) {
    LIVE.set(LIVE.get() + bytes);
}

fn count_allocation(bytes: isize) {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    count(bytes);
}

// SAFETY: every call goes to the system's allocator as it comes.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_allocation(taken(layout.size()));
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-taken(layout.size()));
        // SAFETY: the caller keeps the promises of `dealloc`.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count_allocation(taken(layout.size()));
        // SAFETY: the caller keeps the promises of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count_allocation(taken(new_size) - taken(layout.size()));
        // SAFETY: the caller keeps the promises of `realloc`.
        unsafe { System.realloc(block, layout, new_size) }
    }
}
