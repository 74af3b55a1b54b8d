//! A node's level: geometric with ratio 1/m, drawn from a hash of its slot.

/// Highest level; with m = 2 a graph of 2^32 nodes has 32 levels, and 15 cost nothing in recall.
pub const LEVEL_MAX: u32 = 15;

/// The level of `slot`, as the paper draws it: `floor(-ln(u) / ln(m))`, u uniform in (0, 1].
pub fn level(slot: u32, m: u16) -> u32 {
    let unit = ((mix(u64::from(slot)) >> 11) + 1) as f64 / (1u64 << 53) as f64;
    let level = -unit.ln() / f64::from(m).ln();
    (level as u32).min(LEVEL_MAX)
}

/// The finaliser of splitmix64: every bit of the slot reaches every bit of the hash.
fn mix(slot: u64) -> u64 {
    let mut z = slot.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
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
