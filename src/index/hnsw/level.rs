//! A node's level: geometric with ratio 1/m, drawn from a hash of its slot.

use crate::index::mix::mix;

/// Highest level; with m = 2 a graph of 2^32 nodes has 32 levels, and 15 cost nothing in recall.
pub const LEVEL_MAX: u32 = 15;

/// The level of `slot`, as the paper draws it: `floor(-ln(u) / ln(m))`, u uniform in (0, 1].
pub fn level(slot: u32, m: u16) -> u32 {
    let unit = ((mix(u64::from(slot)) >> 11) + 1) as f64 / (1u64 << 53) as f64;
    let level = -unit.ln() / f64::from(m).ln();
    (level as u32).min(LEVEL_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_geometric_and_stable() {
        for m in [2u16, 16, 100] {
            let mut counts = [0u32; LEVEL_MAX as usize + 1];
            for slot in 0..200_000 {
                counts[level(slot, m) as usize] += 1;
                assert_eq!(level(slot, m), level(slot, m));
            }
            let above = f64::from(counts[1..].iter().sum::<u32>()) / 200_000.0;
            let expected = 1.0 / f64::from(m);
            assert!((above - expected).abs() < 0.05 * expected + 0.001, "m {m}: {above}");
        }
    }
}
