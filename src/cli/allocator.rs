//! How the allocator and the system deal with memory in a server that is told to be small.
//!
//! Left alone, they trade memory for time: mimalloc keeps pages that hold nothing for a second, in case they are wanted
//! again; what a thread frees of another one that has ended stays in that one's pages; pages that others have emptied are
//! noticed late; and the system gives 2 MB where 4 KB were touched. After a load of 1,000,000 rows and some scans by
//! several connections, a server that was told 64 MB held 84, and 69 with what is done here; right after the load 47 and
//! 39.

#![allow(unsafe_code, reason = "neither mimalloc's options nor prctl have a safe wrapper here")]

use libmimalloc_sys::mi_option_t;

/// Budgets from which on a second's worth of free pages is no matter.
pub const ROOMY: u64 = 1 << 30;

// Numbers of options in mimalloc.h, version 3.
/// Milliseconds until free pages go back to the system.
const PURGE_DELAY: mi_option_t = 15;
/// Allocations of a thread that found no place at once, between two looks for pages that others have emptied.
const GENERIC_COLLECT: mi_option_t = 34;
/// Of 10,000 that it is left alone, in rows of 22 KB most of a statement's life.
const COLLECT_EVERY: std::ffi::c_long = 100;
/// Whether a thread that frees a block in a page of a thread that has ended takes the page over.
const PAGE_RECLAIM_ON_FREE: mi_option_t = 35;

/// From now on memory that is not in use goes back to the system, at the price of taking new memory more often.
pub fn be_small() {
    // SAFETY: sets numbers, at any time, from any thread.
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, 0);
        libmimalloc_sys::mi_option_set(PAGE_RECLAIM_ON_FREE, 1);
        libmimalloc_sys::mi_option_set(GENERIC_COLLECT, COLLECT_EVERY);
    }
    #[cfg(target_os = "linux")]
    // SAFETY: changes how later page faults of this process are served (`man 2 prctl`), and nothing when it fails.
    unsafe {
        libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_are_the_ones_that_are_meant() {
        // SAFETY: reads a number.
        let option = |option| unsafe { libmimalloc_sys::mi_option_get(option) };
        assert!(option(PURGE_DELAY) > 0, "free pages are kept for a while, unless told otherwise");
        assert_eq!((option(PAGE_RECLAIM_ON_FREE), option(GENERIC_COLLECT)), (0, 10_000));
        be_small();
        assert_eq!((option(PURGE_DELAY), option(PAGE_RECLAIM_ON_FREE)), (0, 1));
        assert_eq!(option(GENERIC_COLLECT), COLLECT_EVERY);
    }
}
