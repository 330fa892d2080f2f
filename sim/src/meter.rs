//! How much memory the broker really takes: an allocator that knows for whom it works.
//!
//! What is allocated while the core is at work on this thread counts as the core's until it is
//! freed, wherever that happens: each block has its owner in front of it. A run stays on its
//! thread, so that runs beside each other do not mix.

#![allow(unsafe_code)] // an allocator cannot be written without

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ffi::{c_int, c_long};

use libmimalloc_sys::{
    mi_free, mi_malloc, mi_malloc_aligned, mi_realloc, mi_realloc_aligned, mi_zalloc,
    mi_zalloc_aligned,
};

/// What stands in front of a block at the least: its owner, and what keeps it aligned. The
/// allocator beneath aligns every block to as much without being asked, at less cost.
const HEADER: usize = 16;

/// mimalloc's `mi_option_purge_delay`, as its header numbers it: after how many milliseconds memory
/// that is free goes back to the system, or never if negative.
const PURGE_DELAY: c_int = 15;

unsafe extern "C" {
    fn mi_option_set(option: c_int, value: c_long);
}

thread_local! {
    static IS_CORE: Cell<bool> = const { Cell::new(false) };
    static HELD: Cell<i64> = const { Cell::new(0) };
}

/// From now on what is freed stays with the process, for the runs to come: the system takes longer
/// to clear a page than most runs do to use it.
pub fn keep_memory() {
    // SAFETY: an option may be set at any time, and one that is not there is passed over.
    unsafe { mi_option_set(PURGE_DELAY, -1) }
}

/// Does `work` for the core: what it allocates is the core's.
pub(crate) fn in_core<T>(work: impl FnOnce() -> T) -> T {
    /// Ends it, even if the work panics.
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            IS_CORE.set(self.0);
        }
    }
    let _restore = Restore(IS_CORE.replace(true));
    work()
}

/// How many bytes of the core's on this thread are not freed; only differences mean anything.
pub(crate) fn held() -> i64 {
    HELD.get()
}

#[global_allocator]
static METER: Meter = Meter;

struct Meter;

impl Meter {
    /// How long the header of a block is. With it, no block is too long to say how long it is: a
    /// layout's size and alignment are together less than the largest number.
    fn header(layout: Layout) -> usize {
        layout.align().max(HEADER)
    }

    /// Notes the owner of a block that was allocated, and gives what stands behind the header.
    ///
    /// # Safety
    /// `start` is null or the start of a block that begins with a header of so many bytes.
    unsafe fn begin(start: *mut u8, header: usize, size: usize) -> *mut u8 {
        if start.is_null() {
            return start;
        }
        // A thread that ends has no owner to name any more.
        let is_core = IS_CORE.try_with(Cell::get).unwrap_or(false);
        count(is_core, size as i64);
        // SAFETY: the header is at least 16 bytes long and aligned to as many.
        unsafe {
            start.cast::<bool>().write(is_core);
            start.add(header)
        }
    }
}

fn count(is_core: bool, bytes: i64) {
    if is_core {
        let _ = HELD.try_with(|held| held.set(held.get() + bytes));
    }
}

// SAFETY: every block is one of the allocator's beneath, with a header in front that keeps the
// alignment.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (header, size) = (Self::header(layout), layout.size());
        // SAFETY: the header is as long as blocks are aligned, a power of two.
        unsafe {
            let start = match header {
                HEADER => mi_malloc(size + HEADER),
                align => mi_malloc_aligned(size + align, align),
            };
            Self::begin(start.cast(), header, size)
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (header, size) = (Self::header(layout), layout.size());
        // SAFETY: as above.
        unsafe {
            let start = match header {
                HEADER => mi_zalloc(size + HEADER),
                align => mi_zalloc_aligned(size + align, align),
            };
            Self::begin(start.cast(), header, size)
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block was given out by one of the others, behind a header.
        unsafe {
            let start = block.sub(Self::header(layout));
            count(start.cast::<bool>().read(), -(layout.size() as i64));
            mi_free(start.cast());
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let header = Self::header(layout);
        // SAFETY: as above; what grows or shrinks keeps its header.
        unsafe {
            let start = block.sub(header);
            let is_core = start.cast::<bool>().read();
            let moved = match header {
                HEADER => mi_realloc(start.cast(), size + HEADER),
                align => mi_realloc_aligned(start.cast(), size + align, align),
            };
            let moved = moved.cast::<u8>();
            if moved.is_null() {
                return moved;
            }
            count(is_core, size as i64 - layout.size() as i64);
            moved.add(header)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_core_allocates_counts_until_it_is_freed() {
        let before = held();
        let others: Vec<u8> = vec![1; 1000];
        assert_eq!(held(), before);
        let mut cores: Vec<u8> = in_core(|| vec![0; 1000]);
        assert_eq!(held(), before + 1000);
        cores.extend_from_slice(&others);
        assert!(held() >= before + 2000);
        drop(others);
        drop(cores);
        assert_eq!(held(), before);
    }

    #[test]
    fn blocks_are_aligned_as_asked_for() {
        for align in [1, 8, 16, 64, 4096] {
            let layout = Layout::from_size_align(24, align).expect("a layout");
            // SAFETY: the block is freed as it was allocated.
            unsafe {
                let block = METER.alloc(layout);
                assert_eq!(block as usize % align, 0);
                block.write_bytes(7, 24);
                let block = METER.realloc(block, layout, 100);
                assert_eq!((block as usize % align, *block.add(23)), (0, 7));
                METER.dealloc(block, Layout::from_size_align(100, align).expect("a layout"));
            }
        }
    }

    #[test]
    fn a_panic_ends_the_work_for_the_core() {
        let panicked = std::panic::catch_unwind(|| in_core(|| panic!("as it must")));
        assert!(panicked.is_err() && !IS_CORE.get());
    }
}
