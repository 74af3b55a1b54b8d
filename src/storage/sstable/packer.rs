//! Deflates the blocks of a table, several at a time.
//!
//! Four fifths of the work of a merge are deflating, and blocks are deflated independently of each other. So closed
//! blocks are gathered, and then packed by as many threads as there are processors to spare:
//!
//! ```text
//!   blocks    0 1 2 3 4 5 6 7 ...     each thread takes the next that nobody has taken
//!   merging   0   2 3     6
//!   helper      1     4 5   7
//! ```
//!
//! What is packed does not depend on who packs it or when: the same entries make the same file, and all of the file's
//! operations are done by the one thread that merges, in the same order.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::frame::{Deflater, Packing};

/// Raw bytes that are gathered before they are packed: some 10 ms of deflating, beside which starting a thread (tens
/// of microseconds) counts for nothing.
pub const GATHERED_BYTES: usize = 1 << 20;

/// Raw bytes below which helpers are not worth their start.
const SHARED_BYTES_MIN: usize = 64 << 10;

/// Threads that pack one table at most, the merging one included. More would take from the statements that run beside.
const THREADS_MAX: usize = 4;

/// Processors that this process may use, asked for once: the answer is read from several files.
static PROCESSORS: LazyLock<usize> = LazyLock::new(|| thread::available_parallelism().map_or(1, usize::from));

/// Packs blocks; keeps the compressors' memory between them. Nothing is done for a table that stays plain.
pub struct Packer {
    packing: Packing,
    /// One per thread, made when first needed.
    deflaters: Vec<Deflater>,
}

impl Packer {
    pub fn new(packing: Packing) -> Packer {
        Packer { packing, deflaters: Vec::new() }
    }

    /// What is to be stored instead of each block; `None` for those that stay as they are.
    /// `helped`, asked when there is enough: whether by as many threads as there are processors to spare.
    pub fn pack(&mut self, blocks: &[&[u8]], helped: impl FnOnce() -> bool) -> Vec<Option<Vec<u8>>> {
        let mut packed = vec![None; blocks.len()];
        if self.packing == Packing::Plain {
            return packed;
        }
        let is_much = blocks.iter().map(|block| block.len()).sum::<usize>() >= SHARED_BYTES_MIN;
        let shared = is_much && helped();
        let threads = match shared {
            false => 1,
            true => PROCESSORS.min(THREADS_MAX).min(blocks.len()),
        };
        self.deflaters.resize_with(threads.max(self.deflaters.len()), Deflater::default);
        let Some((own, helpers)) = self.deflaters.split_first_mut() else { return packed };
        let next = AtomicUsize::new(0);
        let work = |deflater: &mut Deflater| {
            let mut done = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(block) = blocks.get(number) else { return done };
                done.push((number, deflater.deflate(block)));
            }
        };
        thread::scope(|scope| {
            let started = helpers.iter_mut().take(threads - 1).map_while(|deflater| {
                let helper = thread::Builder::new().name("pack".to_owned());
                // Without a helper it takes longer.
                helper.spawn_scoped(scope, || work(deflater)).ok()
            });
            let started: Vec<_> = started.collect();
            let mut done = vec![work(own)];
            for helper in started {
                match helper.join() {
                    Ok(theirs) => done.push(theirs),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            for (number, block) in done.into_iter().flatten() {
                packed[number] = block;
            }
        });
        packed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_packed_alike_by_one_thread_and_by_several() {
        let block = |number: usize| match number % 3 {
            0 => format!("the words of block {number}, again; ").repeat(200).into_bytes(),
            1 => (0..6_000_u64).map(|at| ((at * at * 2_654_435_761 + number as u64) >> 13) as u8).collect(),
            _ => vec![number as u8; 100],
        };
        let blocks: Vec<Vec<u8>> = (0..100).map(block).collect();
        let blocks: Vec<&[u8]> = blocks.iter().map(Vec::as_slice).collect();
        assert!(blocks.iter().map(|block| block.len()).sum::<usize>() > SHARED_BYTES_MIN);
        let mut packer = Packer::new(Packing::Deflate);
        let together = packer.pack(&blocks, || true);
        let mut alone = Deflater::default();
        let one_by_one: Vec<Option<Vec<u8>>> = blocks.iter().map(|block| alone.deflate(block)).collect();
        assert_eq!(together, one_by_one);
        assert_eq!(packer.pack(&blocks, || true), one_by_one, "with compressors that were used before");
        assert_eq!(packer.pack(&blocks, || false), one_by_one, "without helpers");
        assert_eq!(together.iter().filter(|block| block.is_some()).count(), 34, "short and random ones stay");
        assert!(Packer::new(Packing::Plain).pack(&blocks, || true).iter().all(Option::is_none));
        assert!(packer.pack(&[], || true).is_empty());
    }
}
