//! How much memory the broker really takes: an allocator that knows for whom it works.
//!
//! What is allocated while the core is at work on this thread counts as the core's until it is
//! freed, wherever that happens: each block has its owner in front of it. A run stays on its
//! thread, so that runs beside each other do not mix.

#![allow(unsafe_code)] // an allocator cannot be written without

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

use mimalloc::MiMalloc;

/// What stands in front of a block at the least: its owner, and what keeps it aligned.
const HEADER: usize = 16;

thread_local! {
    static IS_CORE: Cell<bool> = const { Cell::new(false) };
    static HELD: Cell<i64> = const { Cell::new(0) };
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
    /// The layout of a block with its header, and the header's length.
    fn whole(layout: Layout) -> Option<(Layout, usize)> {
        let header = layout.align().max(HEADER);
        let size = layout.size().checked_add(header)?;
        Some((Layout::from_size_align(size, header).ok()?, header))
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
        let Some((whole, header)) = Self::whole(layout) else { return std::ptr::null_mut() };
        // SAFETY: the size is not 0, as the header is not.
        unsafe { Self::begin(MiMalloc.alloc(whole), header, layout.size()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some((whole, header)) = Self::whole(layout) else { return std::ptr::null_mut() };
        // SAFETY: as above.
        unsafe { Self::begin(MiMalloc.alloc_zeroed(whole), header, layout.size()) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some((whole, header)) = Self::whole(layout) else { return };
        // SAFETY: the block was given out by one of the others, behind a header.
        unsafe {
            let start = block.sub(header);
            count(start.cast::<bool>().read(), -(layout.size() as i64));
            MiMalloc.dealloc(start, whole);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some((whole, header)) = Self::whole(layout) else { return std::ptr::null_mut() };
        let Some(new) = size.checked_add(header) else { return std::ptr::null_mut() };
        // SAFETY: as above; what grows or shrinks keeps its header.
        unsafe {
            let start = block.sub(header);
            let is_core = start.cast::<bool>().read();
            let moved = MiMalloc.realloc(start, whole, new);
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
