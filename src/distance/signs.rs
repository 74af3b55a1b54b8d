//! The sum between a vector of numbers in few bits and one of signs: what `bq` indexes rank by.
//!
//! The numbers are unsigned integers of [`PLANES`] bits, kept as planes: plane j holds bit j of every number. Then
//! Σ uᵢ·bᵢ over bits bᵢ is `Σⱼ 2ʲ · ones(planeⱼ & b)`, a few instructions that count bits, and exact.

/// Bits of a query's elements. With four the error of a query is below that of the signs by an order of magnitude
/// (Gao and Long, "RaBitQ", 2024, section 3.3.1).
pub const PLANES: usize = 4;

/// A query for signs: what stands in place of its (rotated) elements, and what makes a rank of a sum.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Planes {
    /// Plane after plane, `words` each.
    pub bits: Vec<u32>,
    /// Of the smallest element, and between two neighbouring numbers.
    pub low: f32,
    pub step: f32,
    /// Sum of the elements.
    pub sum: f32,
    /// rank = query's `add` + candidate's `add` + `scale` · product.
    pub add: f32,
    pub scale: f32,
    /// Length of the query from the centre; errors grow with it.
    pub reach: f32,
    pub dimensions: usize,
}

impl Planes {
    /// Σ qᵢ·sᵢ over signs sᵢ that are +1 where the bit is set and -1 elsewhere.
    #[inline]
    pub fn signed_sum(&self, signs: &[u32]) -> f32 {
        let (weighted, ones) = counts(&self.bits, signs);
        2.0 * (self.low * ones as f32 + self.step * weighted as f32) - self.sum
    }
}

/// Σⱼ 2ʲ · ones(planeⱼ & signs), and ones(signs).
#[inline]
#[allow(unsafe_code)]
fn counts(planes: &[u32], signs: &[u32]) -> (u32, u32) {
    #[cfg(target_arch = "x86_64")]
    {
        /// The caller makes sure that the processor counts bits in vectors.
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq")]
        unsafe fn vectors(planes: &[u32], signs: &[u32]) -> (u32, u32) {
            words(planes, signs)
        }
        /// The caller makes sure that the processor counts bits.
        #[target_feature(enable = "popcnt")]
        unsafe fn popcnt(planes: &[u32], signs: &[u32]) -> (u32, u32) {
            words(planes, signs)
        }
        if std::arch::is_x86_feature_detected!("avx512vpopcntdq")
            && std::arch::is_x86_feature_detected!("avx512bw")
            && std::arch::is_x86_feature_detected!("avx512vl")
        {
            // SAFETY: the processor has the features, checked on the lines above.
            return unsafe { vectors(planes, signs) };
        }
        if std::arch::is_x86_feature_detected!("popcnt") {
            // SAFETY: the processor has the instruction, checked on the line above.
            return unsafe { popcnt(planes, signs) };
        }
    }
    words(planes, signs)
}

#[inline(always)]
fn words(planes: &[u32], signs: &[u32]) -> (u32, u32) {
    assert_eq!(planes.len(), PLANES * signs.len(), "both have the dimension of the column");
    let mut weighted = 0;
    for (number, plane) in planes.chunks_exact(signs.len()).enumerate() {
        let ones: u32 = plane.iter().zip(signs).map(|(plane, signs)| (plane & signs).count_ones()).sum();
        weighted += ones << number;
    }
    (weighted, signs.iter().map(|signs| signs.count_ones()).sum())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn counts_are_exact(pairs in prop::collection::vec((0u32..1 << PLANES, any::<bool>()), 1..40)) {
            let words = pairs.len().div_ceil(32);
            let (mut planes, mut signs) = (vec![0u32; PLANES * words], vec![0u32; words]);
            for (at, &(number, bit)) in pairs.iter().enumerate() {
                signs[at / 32] |= u32::from(bit) << (at % 32);
                for plane in 0..PLANES {
                    planes[plane * words + at / 32] |= (number >> plane & 1) << (at % 32);
                }
            }
            let expected: u32 = pairs.iter().map(|&(number, bit)| number * u32::from(bit)).sum();
            let ones = pairs.iter().filter(|(_, bit)| *bit).count() as u32;
            prop_assert_eq!(counts(&planes, &signs), (expected, ones));
            prop_assert_eq!(super::words(&planes, &signs), (expected, ones));
        }
    }
}
