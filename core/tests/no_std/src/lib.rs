//! Proof that `warren-core` needs no standard library, no C library and no operating system.
//!
//! It is built, never run. Two things can make the build fail, and each is the point:
//!
//! - If any crate in the graph links `std`, there are two panic handlers, and the compiler stops
//!   with a duplicate lang item `panic_impl`.
//! - If any crate calls the operating system or the C library behind `std`'s back, a symbol stays
//!   undefined, and the linker stops: nothing is linked but what is here.
//!
//! What a program without an operating system has to bring along is here: memory, and what the
//! compiler calls for copying and comparing it.

#![no_std]

use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use warren_core::amqp::{Decoder, Egress};
use warren_core::{Boot, Broker, Config, Input, Instant, Output, Peer};

/// A broker with one client, from bytes to bytes: all of the core is reachable from here.
#[unsafe(no_mangle)]
pub extern "C" fn warren_serve(bytes: &[u8; 4096]) -> usize {
    let mut broker = Broker::new(Config::default(), Boot { seed: [1, 2], clock_origin_ms: 0 });
    let now = Instant::default();
    let id = broker.connect(now, Peer { is_loopback: true, ..Peer::default() });
    let mut decoder = Decoder::new();
    let mut egress = Egress::new();
    decoder.feed(Bytes::copy_from_slice(bytes));
    while let Some(next) = decoder.poll().transpose() {
        let input = match next {
            Ok(frame) => Input::Frame(id, frame),
            Err(error) => Input::Malformed(id, error),
        };
        broker.handle(now, input);
    }
    while let Some(output) = broker.poll_output() {
        if let Output::Send(_, frame) = output {
            egress.push(&frame);
        }
    }
    egress.len() + broker.queues().len() + usize::from(broker.poll_timeout().is_some())
}

/// Memory that is handed out once and never taken back.
struct Bump;

const MEMORY_LEN: usize = 1 << 20;
static mut MEMORY: [u8; MEMORY_LEN] = [0; MEMORY_LEN];
static USED: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Bump = Bump;

// SAFETY: each call takes another range of `MEMORY`, aligned as asked, or none.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = (&raw mut MEMORY).cast::<u8>();
        let len = layout.size() + layout.align();
        let start = USED.fetch_add(len, Ordering::Relaxed);
        if start + len > MEMORY_LEN {
            return core::ptr::null_mut();
        }
        let free = base.wrapping_add(start);
        free.wrapping_add(free.align_offset(layout.align()))
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

/// What the compiler calls for copying, filling and comparing, one octet at a time. Volatile, or
/// the compiler would see a copy in each loop and call the very function that it is in.
mod memory {
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(target: *mut u8, source: *const u8, len: usize) -> *mut u8 {
        for at in 0..len {
            // SAFETY: the caller says that both are `len` octets long.
            unsafe { target.add(at).write_volatile(source.add(at).read_volatile()) };
        }
        target
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memmove(target: *mut u8, source: *const u8, len: usize) -> *mut u8 {
        if target.cast_const() <= source {
            // SAFETY: as for this function; what is overwritten was already read.
            return unsafe { memcpy(target, source, len) };
        }
        for at in (0..len).rev() {
            // SAFETY: the caller says that both are `len` octets long.
            unsafe { target.add(at).write_volatile(source.add(at).read_volatile()) };
        }
        target
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memset(target: *mut u8, value: i32, len: usize) -> *mut u8 {
        for at in 0..len {
            // SAFETY: the caller says that `target` is `len` octets long.
            unsafe { target.add(at).write_volatile(value as u8) };
        }
        target
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, len: usize) -> i32 {
        for at in 0..len {
            // SAFETY: the caller says that both are `len` octets long.
            let (a, b) = unsafe { (one.add(at).read_volatile(), other.add(at).read_volatile()) };
            if a != b {
                return i32::from(a) - i32::from(b);
            }
        }
        0
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, len: usize) -> i32 {
        // SAFETY: as for this function.
        unsafe { memcmp(one, other, len) }
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}
