//! Which keys a chunk does not have: a Bloom filter of 2 KB for each block of 1,024 slots.
//!
//! A key sets three of 16,384 bits. With 1,024 keys 17 % are set, and of the keys that are not in the block 1 in 200
//! passes. Keys that were taken out stay in it, as they stay between the chunk's extremes.
//!
//! Bloom, *Space/time trade-offs in hash coding with allowable errors*, CACM 1970.

use super::chunk::CHUNK_SLOTS;
use super::keys::Key;

/// Slots of a block.
pub const BLOCK_SLOTS: usize = 1024;
/// Words of a block's filter.
const WORDS: usize = 256;

/// Bytes of the filters of a chunk's blocks, which follow each other.
pub const BYTES: usize = CHUNK_SLOTS / BLOCK_SLOTS * WORDS * 8;

/// The bits of a key in a block.
#[derive(Clone, Copy)]
pub struct Bits([usize; 3]);

impl Bits {
    /// Three parts of one product.
    pub fn of<K: Key>(key: K) -> Bits {
        let key = key.widen();
        let half = (key as u64) ^ ((key >> 64) as u64).rotate_left(32);
        // Both halves of the product together depend on every bit of the key (golden ratio, as in `postings.rs`).
        let product = u128::from(half ^ 0x243F_6A88_85A3_08D3) * 0x9E37_79B9_7F4A_7C15;
        let mixed = (product as u64 ^ (product >> 64) as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        let mixed = mixed ^ mixed >> 32;
        Bits([0, 16, 32].map(|shift| (mixed >> shift) as usize % (64 * WORDS)))
    }
}

/// Notes the key of a slot of the chunk.
pub fn add<K: Key>(filters: &mut [u8], place: usize, key: K) {
    let start = place / BLOCK_SLOTS * WORDS * 8;
    Bits::of(key).0.into_iter().for_each(|bit| filters[start + bit / 8] |= 1 << (bit % 8));
}

/// Whether a block may have the key.
pub fn may_have(filters: &[u8], block: usize, bits: Bits) -> bool {
    let bytes = &filters[block * WORDS * 8..][..WORDS * 8];
    bits.0.into_iter().all(|bit| bytes[bit / 8] >> (bit % 8) & 1 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_of_the_keys_that_are_not_there_pass() {
        // In a row, in steps of what fills low bits, and wide ones.
        let series: [fn(u64) -> u128; 4] = [
            u128::from,
            |n| u128::from(n) << 20,
            |n| u128::from(n) << 70,
            |n| u128::from(n) * 86_400_000_000,
        ];
        for key in series {
            let mut filters = [0; BYTES];
            (0..CHUNK_SLOTS).for_each(|place| add(&mut filters, place, key(place as u64)));
            let has = |block: usize, n: usize| may_have(&filters, block, Bits::of(key(n as u64)));
            assert!((0..CHUNK_SLOTS).all(|n| has(n / BLOCK_SLOTS, n)));
            let passed = (CHUNK_SLOTS..CHUNK_SLOTS + 100_000).filter(|n| has(n % 8, *n)).count();
            assert!(passed < 1_000, "{passed} of 100,000");
        }
    }
}
