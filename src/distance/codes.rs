//! The sum over codes, which is exact: integers times integers, added in integers.

use simsimd::SpatialSimilarity;

#[cfg(target_arch = "x86_64")]
use super::wide;

/// Σ a·b. Up to 130,000 dimensions fit; indexes have at most 4,000.
#[inline]
#[allow(unsafe_code)]
pub fn dot(a: &[i8], b: &[i8]) -> i32 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512vnni")
    {
        // SAFETY: the processor has all that the function is compiled for, checked just above.
        return unsafe { wide::dot_of_bytes(a, b) };
    }
    i8::dot(a, b).expect("both codes have the dimension of the column") as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(a: &[i8], b: &[i8]) -> i32 {
        a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
    }

    #[test]
    fn the_kernel_is_exact_in_all_dimensions() {
        // A linear congruential generator (Knuth's MMIX constants): the test needs any numbers, always the same.
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % 255) as i32 as u8 as i8
        };
        for dimensions in 1..=4_096 {
            let a: Vec<i8> = (0..dimensions).map(|_| next().max(-127)).collect();
            let b: Vec<i8> = (0..dimensions).map(|_| next().max(-127)).collect();
            assert_eq!(dot(&a, &b), plain(&a, &b), "{dimensions} dimensions");
        }
        let extreme = vec![-127i8; 4_096];
        assert_eq!(dot(&extreme, &extreme), 127 * 127 * 4_096);
    }
}
