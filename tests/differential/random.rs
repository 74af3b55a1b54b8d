//! splitmix64: the same statements, and the same frames in the tests of the wire, on every machine.

#![allow(dead_code, reason = "each user needs a part")]

pub struct Random(u64);

impl Random {
    /// The stream of one case: neighbouring numbers of a seed have nothing in common.
    pub fn of(seed: u64, number: u64) -> Random {
        Random(seed.wrapping_mul(1_000_003).wrapping_add(number))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}
