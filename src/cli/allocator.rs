//! What the allocator does with pages that hold nothing any more.
//!
//! mimalloc keeps them for a second, in case they are wanted again. A load of 200,000 rows held 89 MB that way where 35 MB
//! were in use; a server that is told to be small gives them back at once, and pays for new ones.

#![allow(unsafe_code, reason = "mimalloc's options have no safe wrapper")]

/// Budgets from which on a second's worth of free pages is no matter.
pub const ROOMY: u64 = 1 << 30;

/// `mi_option_purge_delay` of mimalloc.h: milliseconds until free pages go back to the system.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Gives free pages back to the system at once from now on.
pub fn give_back_at_once() {
    // SAFETY: sets a number, at any time, from any thread.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: reads a number.
        let delay = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert!(delay() > 0, "free pages are kept for a while, unless told otherwise");
        give_back_at_once();
        assert_eq!(delay(), 0);
    }
}
