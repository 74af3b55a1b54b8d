//! Which keys a chunk does not have: a Bloom filter of 8 KB.
//!
//! A key sets three of 65,536 bits. With the 8,192 keys of a full chunk 31 % are set, and of the keys that are not in the
//! chunk 3 % pass. Keys that were taken out stay in it, as they stay between the chunk's extremes.
//!
//! Bloom, *Space/time trade-offs in hash coding with allowable errors*, CACM 1970.

use super::keys::Key;

const WORDS: usize = 1024;

#[derive(Clone)]
pub struct Filter {
    words: [u64; WORDS],
}

/// The bits of a key: three parts of 16 bits of one product.
fn bits<K: Key>(key: K) -> [usize; 3] {
    let key = key.widen();
    let half = (key as u64) ^ ((key >> 64) as u64).rotate_left(32);
    // Both halves of the product together depend on every bit of the key (golden ratio, as in `postings.rs`).
    let product = u128::from(half ^ 0x243F_6A88_85A3_08D3) * 0x9E37_79B9_7F4A_7C15;
    let mixed = (product as u64 ^ (product >> 64) as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    let mixed = mixed ^ mixed >> 32;
    [mixed as u16, (mixed >> 16) as u16, (mixed >> 32) as u16].map(usize::from)
}

impl Filter {
    pub fn new() -> Filter {
        Filter { words: [0; WORDS] }
    }

    pub fn add<K: Key>(&mut self, key: K) {
        bits(key).into_iter().for_each(|bit| self.words[bit / 64] |= 1 << (bit % 64));
    }

    pub fn may_have<K: Key>(&self, key: K) -> bool {
        bits(key).into_iter().all(|bit| self.words[bit / 64] >> (bit % 64) & 1 != 0)
    }
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
            let mut filter = Filter::new();
            (0..8192).for_each(|n| filter.add(key(n)));
            assert!((0..8192).all(|n| filter.may_have(key(n))));
            let passed = (8192..108_192).filter(|n| filter.may_have(key(*n))).count();
            assert!(passed < 5_000, "{passed} of 100,000");
        }
    }
}
